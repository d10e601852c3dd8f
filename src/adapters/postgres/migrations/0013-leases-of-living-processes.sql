-- Which process has a parked key: while it is alive nobody takes the key away, however long a handler runs.
alter table trunkline.parked_key add column lease_by uuid;

-- The message names that a process has handlers for, by group: { "orders": ["shop.orders.OrderPlaced"] }.
alter table trunkline.process add column handles jsonb not null default '{}';
