-- Parked messages that a person has given up, whole, with who did it and why. Never emptied by the product.
create table discarded (
    id           bigint generated always as identity primary key,
    parked_id    bigint not null,
    topic        text not null,
    key          bytea not null,
    partition    smallint not null,
    "offset"     bigint not null,
    sequence     bigint,
    headers      bytea not null,
    value        bytea not null,
    error        text not null,
    parked_at    timestamptz not null,
    discarded_at timestamptz not null default now(),
    actor        text not null,
    reason       text not null
);
