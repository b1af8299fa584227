-- Fulfillments in external warehouses, for lists: the events of `wmsorder-<id>` are the truth.
create table wms_orders (
    position       bigint generated always as identity unique,
    fulfillment_id text primary key,
    order_id       text not null,
    location       text not null,
    handshake      text not null,
    cancellation   text not null,
    reference      text not null,
    reason         text not null
);
