-- What a discard can be undone to, and keys whose first message may have ended a process.

-- Whether the message stood in its key's queue when a person discarded it.
alter table trunkline.parked_message add column discarded_from_queue boolean not null default false;
-- Whether whoever holds the lease runs nothing else meanwhile.
alter table trunkline.parked_key add column lease_alone boolean not null default false;
-- The oldest first, for lists of one group.
create index parked_message_by_group on trunkline.parked_message (consumer_group, seq);
