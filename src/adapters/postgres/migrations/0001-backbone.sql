-- The tables behind publishing and consuming. Everything lives in a schema of its own.

-- Time in SQL comes from here, so that tests can move it: set trunkline.shift = '1 hour'.
-- A shift in a setting costs 0.22 µs a call, in a table 2.2.
create function trunkline.now() returns timestamptz language sql volatile as
  $$ select clock_timestamp() + coalesce(nullif(current_setting('trunkline.shift', true), '')::interval, interval '0') $$;

-- A row present is a message not yet published. xid stands before seq: its default is evaluated first,
-- so a sequence number that was taken implies a transaction id that was assigned.
create table trunkline.outbox (
  xid        xid8        not null default pg_current_xact_id(),
  seq        bigint      generated always as identity (cache 1) primary key,
  bucket     smallint    not null,
  key_hash   integer     not null,
  topic      text        not null,
  id         uuid        not null,
  key        bytea,
  value      bytea,
  headers    bytea       not null,
  created_at timestamptz not null default trunkline.now()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);

create table trunkline.outbox_lease (
  shard      smallint    primary key,
  owner      text,
  epoch      bigint      not null default 0,
  expires_at timestamptz not null default '-infinity'
);
insert into trunkline.outbox_lease (shard) values (0);

-- The partition count with which a topic's keys are hashed.
create table trunkline.topic (
  name       text        primary key,
  partitions integer     not null check (partitions > 0),
  stored_at  timestamptz not null default trunkline.now()
);

-- The truth about where a group stands. Offsets committed to Kafka serve lag tools only.
create table trunkline.consumer_position (
  consumer_group text    not null,
  topic          text    not null,
  partition      integer not null,
  topic_id       text,
  epoch          bigint  not null,
  next_offset    bigint  not null,
  primary key (consumer_group, topic, partition)
) with (fillfactor = 50);

-- Which message names a group handles, whatever build of it: what is in here must never be skipped.
create table trunkline.group_handles (
  consumer_group text        not null,
  name           text        not null,
  since          timestamptz not null default trunkline.now(),
  primary key (consumer_group, name)
);

create table trunkline.inbox (
  consumer_group text        not null,
  id             uuid        not null,
  handled_at     timestamptz not null default trunkline.now(),
  primary key (consumer_group, id)
);

-- A key whose messages wait in order; it is held if and only if its first message is dead.
create table trunkline.parked_key (
  consumer_group text        not null,
  topic          text        not null,
  -- sha256 of the key: a foreign producer's key may be longer than an index takes.
  key_hash       bytea       not null,
  key            bytea       not null,
  due            timestamptz not null default 'infinity',
  primary key (consumer_group, topic, key_hash)
);

create table trunkline.parked_message (
  seq              bigint      generated always as identity primary key,
  consumer_group   text        not null,
  id               uuid        not null,
  -- The key that waits; null for a message that holds nobody up.
  key_topic        text,
  key_hash         bytea,
  state            text        not null check (state in ('waiting', 'dead')),
  attempts         integer     not null default 0,
  reason_code      text,
  reason           text,
  -- The record as it was read.
  topic            text        not null,
  partition        integer     not null,
  record_offset    bigint      not null,
  record_key       bytea,
  record_value     bytea,
  record_headers   bytea       not null,
  -- Milliseconds since 1970, as they stood in the record: a timestamptz does not reach as far.
  record_timestamp_ms bigint   not null,
  parked_at        timestamptz not null default trunkline.now(),
  unique (consumer_group, id),
  foreign key (consumer_group, key_topic, key_hash) references trunkline.parked_key (consumer_group, topic, key_hash)
);
create index parked_message_by_key on trunkline.parked_message (consumer_group, key_topic, key_hash, seq);

-- The durable record of whatever was skipped, reset, refused or lost.
create table trunkline.incident (
  seq     bigint      generated always as identity primary key,
  kind    text        not null,
  subject text        not null,
  service text        not null,
  message text        not null,
  details jsonb       not null,
  at      timestamptz not null default trunkline.now()
);
create index incident_by_kind on trunkline.incident (kind, subject, at);
