-- Parked keys that a retry service empties: leases, due times, what a worker must be able to handle, and the failures'
-- history.

-- A message that is a key of its own has none.
alter table trunkline.parked_key alter column key drop not null;
alter table trunkline.parked_key alter column due set default trunkline.now();
-- Who empties the queue now, fresh with every lease; null when nobody does.
alter table trunkline.parked_key add column lease_token uuid;
alter table trunkline.parked_key add column lease_until timestamptz not null default '-infinity';
create index parked_key_by_due on trunkline.parked_key (consumer_group, due);

-- With its version; and without it, as handlers are found by.
alter table trunkline.parked_message add column type text not null default 'unknown';
alter table trunkline.parked_message add column name text;
-- The fingerprint of the schema that the value names; null where it names none, or an id of a registry.
alter table trunkline.parked_message add column schema text;
-- It waits for nobody, whatever its record's key.
alter table trunkline.parked_message add column alone boolean not null default false;
-- What failures are grouped by, and its short name.
alter table trunkline.parked_message add column cause text;
alter table trunkline.parked_message add column fingerprint text;
-- The last failures, the oldest first.
alter table trunkline.parked_message add column timeline jsonb not null default '[]';
-- When a person discarded it; it can be restored for a while.
alter table trunkline.parked_message add column discarded_at timestamptz;
alter table trunkline.parked_message add column bytes integer not null generated always as (
  coalesce(octet_length(record_key), 0) + coalesce(octet_length(record_value), 0) + octet_length(record_headers)) stored;
alter table trunkline.parked_message drop constraint parked_message_state_check;
alter table trunkline.parked_message add constraint parked_message_state_check
  check (state in ('waiting', 'dead') and discarded_at is null or state = 'discarded' and discarded_at is not null and key_hash is null);

-- How many a group keeps, and how large they are, read without the rows.
create index parked_message_by_load on trunkline.parked_message (consumer_group) include (bytes) where state <> 'discarded';
create index parked_message_by_discard on trunkline.parked_message (discarded_at) where state = 'discarded';
