-- The distinct channels, by hopping along the index instead of reading it all.
with recursive c as (
    (select channel from orders where placed_at is not null order by channel limit 1)
    union all
    select (select o.channel from orders o where o.channel > c.channel and o.placed_at is not null
            order by o.channel limit 1)
    from c where c.channel is not null
)
select channel from c where channel is not null
