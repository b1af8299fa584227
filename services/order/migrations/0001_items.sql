-- The SKUs that inventory knows, so that a channel learns of an unknown one at once.
create table items (sku text primary key);
