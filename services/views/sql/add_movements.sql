-- Rows come sorted, so that two writers lock them in the same order.
insert into availability as a (sku, location, on_hand, reserved, allocated)
select * from unnest(%(sku)b::text[], %(location)b::text[], %(on_hand)b::int8[], %(reserved)b::int8[], %(allocated)b::int8[])
on conflict (sku, location) do update
set on_hand = a.on_hand + excluded.on_hand, reserved = a.reserved + excluded.reserved,
    allocated = a.allocated + excluded.allocated
