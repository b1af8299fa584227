-- Inputs that were not taken, for lists: the events of `refusal-<id>` are the truth.
create table refused (
    number      bigint generated always as identity primary key,
    refusal_id  text not null unique,
    source      text not null,
    channel     text not null,
    reference   text not null,
    reason      text not null,
    detail      text not null,
    payload     text not null,
    refused_at  timestamptz not null default now(),
    resubmitted boolean not null default false
);
create index refused_open on refused (number) where not resubmitted;
