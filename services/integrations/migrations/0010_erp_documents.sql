-- Documents for accounting, for lists: the events of `erporder-<id>` are the truth. Positions are given under the lock of
-- the book's stream, so they appear in order and without gaps.
create table erp_documents (
    position bigint primary key,
    number   text not null unique,
    type     text not null,
    order_id text not null,
    document bytea not null
);
create index erp_documents_order on erp_documents (order_id);
