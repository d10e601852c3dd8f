-- What all migrations make together. Written by: TRUNKLINE_WRITE_SCHEMA=1 npx vitest run test/schema.test.ts

create table trunkline.audit (
  seq bigint not null generated always as identity,
  at timestamp with time zone not null default trunkline.now(),
  actor text not null,
  act text not null,
  subject text not null,
  reason text,
  details jsonb not null,
  constraint audit_pkey PRIMARY KEY (seq)
);

create table trunkline.consumer_position (
  consumer_group text not null,
  topic text not null,
  partition integer not null,
  topic_id text,
  epoch bigint not null,
  next_offset bigint not null,
  started_to bigint,
  started_by uuid,
  suspect_to bigint,
  constraint consumer_position_pkey PRIMARY KEY (consumer_group, topic, partition)
) with (fillfactor=50);

create table trunkline.group_handles (
  consumer_group text not null,
  name text not null,
  since timestamp with time zone not null default trunkline.now(),
  constraint group_handles_pkey PRIMARY KEY (consumer_group, name)
);

create table trunkline.group_pause (
  consumer_group text not null,
  paused_at timestamp with time zone not null default trunkline.now(),
  paused_by text not null,
  reason text not null,
  constraint group_pause_pkey PRIMARY KEY (consumer_group)
);

create table trunkline.inbox (
  slot bigint not null,
  id uuid not null,
  handled_at timestamp with time zone not null default trunkline.now(),
  consumer_group text not null,
  constraint inbox_pkey PRIMARY KEY (slot, id, consumer_group)
) partition by RANGE (slot);

create table trunkline.inbox_rest (
  slot bigint not null,
  id uuid not null,
  handled_at timestamp with time zone not null default trunkline.now(),
  consumer_group text not null,
  constraint inbox_rest_pkey PRIMARY KEY (slot, id, consumer_group)
) -- partition of trunkline.inbox DEFAULT;

create table trunkline.incident (
  seq bigint not null generated always as identity,
  kind text not null,
  subject text not null,
  service text not null,
  message text not null,
  details jsonb not null,
  at timestamp with time zone not null default trunkline.now(),
  constraint incident_pkey PRIMARY KEY (seq)
);

create table trunkline.migration (
  number integer not null,
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone not null default now(),
  constraint migration_pkey PRIMARY KEY (number)
);

create table trunkline.outbox (
  xid xid8 not null default pg_current_xact_id(),
  seq bigint not null generated always as identity,
  bucket smallint not null,
  key_hash integer not null,
  topic text not null,
  id uuid not null,
  key bytea,
  value bytea,
  headers bytea not null,
  created_at timestamp with time zone not null default trunkline.now(),
  constraint outbox_pkey PRIMARY KEY (seq)
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=10000, autovacuum_vacuum_cost_delay=0);

create table trunkline.outbox_archive (
  published_at timestamp with time zone not null default trunkline.now(),
  seq bigint not null,
  bucket smallint not null,
  key_hash integer not null,
  topic text not null,
  id uuid not null,
  key bytea,
  value bytea,
  headers bytea not null,
  created_at timestamp with time zone not null
) partition by RANGE (published_at);

create table trunkline.outbox_archive_rest (
  published_at timestamp with time zone not null default trunkline.now(),
  seq bigint not null,
  bucket smallint not null,
  key_hash integer not null,
  topic text not null,
  id uuid not null,
  key bytea,
  value bytea,
  headers bytea not null,
  created_at timestamp with time zone not null
) -- partition of trunkline.outbox_archive DEFAULT;

create table trunkline.outbox_discarded (
  id uuid not null,
  topic text not null,
  key bytea,
  value bytea,
  headers bytea not null,
  created_at timestamp with time zone not null,
  reason_code text not null,
  reason text not null,
  discarded_at timestamp with time zone not null default trunkline.now(),
  constraint outbox_discarded_pkey PRIMARY KEY (id)
);

create table trunkline.outbox_held_key (
  id bigint not null generated always as identity,
  topic text not null,
  key bytea,
  head_seq bigint not null,
  head_id uuid not null,
  reason_code text not null,
  reason text not null,
  held_at timestamp with time zone not null default trunkline.now(),
  request text,
  requested_at timestamp with time zone,
  constraint outbox_held_key_head_id_key UNIQUE (head_id),
  constraint outbox_held_key_pkey PRIMARY KEY (id),
  constraint outbox_held_key_check CHECK (((request IS NULL) = (requested_at IS NULL))),
  constraint outbox_held_key_request_check CHECK ((request = ANY (ARRAY['redrive'::text, 'discard'::text])))
);

create table trunkline.outbox_lease (
  shard smallint not null,
  owner text,
  epoch bigint not null default 0,
  expires_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  floor bigint not null default 0,
  constraint outbox_lease_pkey PRIMARY KEY (shard)
);

create table trunkline.outbox_scheduled (
  seq bigint not null generated always as identity,
  due_at timestamp with time zone not null,
  bucket smallint not null,
  key_hash integer not null,
  topic text not null,
  id uuid not null,
  key bytea,
  value bytea,
  headers bytea not null,
  created_at timestamp with time zone not null default trunkline.now(),
  constraint outbox_scheduled_pkey PRIMARY KEY (seq)
);

create table trunkline.parked_key (
  consumer_group text not null,
  topic text not null,
  key_hash bytea not null,
  key bytea,
  due timestamp with time zone not null default trunkline.now(),
  lease_token uuid,
  lease_until timestamp with time zone not null default '-infinity'::timestamp with time zone,
  lease_alone boolean not null default false,
  lease_by uuid,
  suspect boolean not null default false,
  constraint parked_key_pkey PRIMARY KEY (consumer_group, topic, key_hash)
);

create table trunkline.parked_message (
  seq bigint not null generated always as identity,
  consumer_group text not null,
  id uuid not null,
  key_topic text,
  key_hash bytea,
  state text not null,
  attempts integer not null default 0,
  reason_code text,
  reason text,
  topic text not null,
  partition integer not null,
  record_offset bigint not null,
  record_key bytea,
  record_value bytea,
  record_headers bytea not null,
  record_timestamp_ms bigint not null,
  parked_at timestamp with time zone not null default trunkline.now(),
  type text not null default 'unknown'::text,
  name text,
  schema text,
  alone boolean not null default false,
  cause text,
  fingerprint text,
  timeline jsonb not null default '[]'::jsonb,
  discarded_at timestamp with time zone,
  bytes integer not null generated always as (((COALESCE(octet_length(record_key), 0) + COALESCE(octet_length(record_value), 0)) + octet_length(record_headers))) stored,
  discarded_from_queue boolean not null default false,
  constraint parked_message_consumer_group_id_key UNIQUE (consumer_group, id),
  constraint parked_message_pkey PRIMARY KEY (seq),
  constraint parked_message_consumer_group_key_topic_key_hash_fkey FOREIGN KEY (consumer_group, key_topic, key_hash) REFERENCES trunkline.parked_key(consumer_group, topic, key_hash),
  constraint parked_message_state_check CHECK ((((state = ANY (ARRAY['waiting'::text, 'dead'::text])) AND (discarded_at IS NULL)) OR ((state = 'discarded'::text) AND (discarded_at IS NOT NULL) AND (key_hash IS NULL))))
);

create table trunkline.process (
  id uuid not null,
  service text not null,
  host text not null,
  pid integer not null,
  groups text[] not null,
  paused text[] not null,
  started_at timestamp with time zone not null default trunkline.now(),
  expires_at timestamp with time zone not null,
  handles jsonb not null default '{}'::jsonb,
  constraint process_pkey PRIMARY KEY (id)
) with (fillfactor=50);

create table trunkline.saga_history (
  saga_id uuid not null,
  seq integer not null,
  at timestamp with time zone not null default trunkline.now(),
  status text not null,
  input json not null,
  effects json not null,
  constraint saga_history_pkey PRIMARY KEY (saga_id, seq)
);

create table trunkline.saga_instance (
  id uuid not null,
  saga text not null,
  definition_version integer not null,
  graph_hash text not null,
  business_key text not null,
  status text not null,
  reason text,
  state json not null,
  steps json not null,
  version integer not null,
  correlation_id text not null,
  due_at timestamp with time zone,
  started_at timestamp with time zone not null default trunkline.now(),
  updated_at timestamp with time zone not null default trunkline.now(),
  constraint saga_instance_pkey PRIMARY KEY (id),
  constraint saga_instance_status_check CHECK ((status = ANY (ARRAY['running'::text, 'compensating'::text, 'completed'::text, 'compensated'::text, 'stuck'::text])))
) with (fillfactor=70);

create table trunkline.saga_participant (
  action_id uuid not null,
  state text not null,
  reply_name text,
  reply_version integer,
  reply_topic text,
  reply_value bytea,
  compensation_reply_name text,
  compensation_reply_version integer,
  compensation_reply_topic text,
  compensation_reply_value bytea,
  at timestamp with time zone not null default trunkline.now(),
  constraint saga_participant_pkey PRIMARY KEY (action_id),
  constraint saga_participant_state_check CHECK ((state = ANY (ARRAY['applied'::text, 'cancelled'::text])))
);

create table trunkline.saga_timer (
  saga_id uuid not null,
  saga text not null,
  definition_version integer not null,
  due_at timestamp with time zone not null,
  constraint saga_timer_pkey PRIMARY KEY (saga_id)
) with (fillfactor=70);

create table trunkline.topic (
  name text not null,
  partitions integer not null,
  stored_at timestamp with time zone not null default trunkline.now(),
  constraint topic_pkey PRIMARY KEY (name),
  constraint topic_partitions_check CHECK ((partitions > 0))
);

CREATE INDEX audit_by_subject ON trunkline.audit USING btree (subject, seq);

CREATE INDEX inbox_rest_by_age ON trunkline.inbox_rest USING btree (handled_at);

CREATE INDEX incident_by_kind ON trunkline.incident USING btree (kind, subject, at);

CREATE INDEX outbox_archive_by_id ON ONLY trunkline.outbox_archive USING btree (id);

CREATE INDEX outbox_archive_by_topic ON ONLY trunkline.outbox_archive USING btree (topic, published_at);

CREATE INDEX outbox_archive_rest_id_idx ON trunkline.outbox_archive_rest USING btree (id);

CREATE INDEX outbox_archive_rest_topic_published_at_idx ON trunkline.outbox_archive_rest USING btree (topic, published_at);

CREATE INDEX outbox_discarded_by_age ON trunkline.outbox_discarded USING brin (discarded_at);

CREATE UNIQUE INDEX outbox_held_key_once ON trunkline.outbox_held_key USING btree (topic, sha256(key));

CREATE INDEX outbox_scheduled_by_due ON trunkline.outbox_scheduled USING btree (due_at, seq);

CREATE INDEX parked_key_by_due ON trunkline.parked_key USING btree (consumer_group, due);

CREATE INDEX parked_message_by_discard ON trunkline.parked_message USING btree (discarded_at) WHERE (state = 'discarded'::text);

CREATE INDEX parked_message_by_group ON trunkline.parked_message USING btree (consumer_group, seq);

CREATE INDEX parked_message_by_key ON trunkline.parked_message USING btree (consumer_group, key_topic, key_hash, seq);

CREATE INDEX parked_message_by_load ON trunkline.parked_message USING btree (consumer_group) INCLUDE (bytes) WHERE (state <> 'discarded'::text);

CREATE INDEX saga_participant_by_age ON trunkline.saga_participant USING brin (at);

CREATE INDEX saga_timer_by_due ON trunkline.saga_timer USING btree (saga, definition_version, due_at);

CREATE OR REPLACE FUNCTION trunkline.close_inbox(name text, keep interval, moved_max integer)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  groups text[];
  slots  bigint[];
  ids    uuid[];
  times  timestamptz[];
begin
  if name !~ '^inbox_[0-9]{8}$' then raise exception 'not a partition of the inbox: %', name; end if;
  if to_regclass('trunkline.' || name) is null then return 0; end if;
  -- It may take a while to look through a day: only who claims in this very day waits for it.
  execute format('lock table trunkline.%I in share row exclusive mode', name);
  execute format(
    'select coalesce(array_agg(consumer_group), ''{}''), coalesce(array_agg(slot), ''{}''),
            coalesce(array_agg(id), ''{}''), coalesce(array_agg(handled_at), ''{}'')
       from (select * from trunkline.%I where handled_at > trunkline.now() - $1 limit $2) as young', name)
    into groups, slots, ids, times using keep, moved_max + 1;
  if cardinality(ids) > moved_max then return null; end if;
  execute format('alter table trunkline.inbox detach partition trunkline.%I', name);
  insert into trunkline.inbox_rest (consumer_group, slot, id, handled_at) select * from unnest(groups, slots, ids, times);
  execute format('drop table trunkline.%I', name);
  return cardinality(ids);
end $function$;

CREATE OR REPLACE FUNCTION trunkline.empty_inbox(name text, keep interval, kept_max integer)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  groups text[];
  slots  bigint[];
  ids    uuid[];
  times  timestamptz[];
  is_old boolean;
begin
  if name !~ '^inbox_[0-9]{8}$' then raise exception 'not a partition of the inbox: %', name; end if;
  if to_regclass('trunkline.' || name) is null then return false; end if;
  execute format('lock table trunkline.%I in access exclusive mode', name);
  execute format(
    'select coalesce(array_agg(consumer_group), ''{}''), coalesce(array_agg(slot), ''{}''),
            coalesce(array_agg(id), ''{}''), coalesce(array_agg(handled_at), ''{}'')
       from (select * from trunkline.%I where handled_at > trunkline.now() - $1 limit $2) as young', name)
    into groups, slots, ids, times using keep, kept_max + 1;
  if cardinality(ids) > kept_max then return false; end if;
  execute format('select exists (select from trunkline.%I where handled_at <= trunkline.now() - $1)', name) into is_old using keep;
  if is_old then
    execute format('truncate table trunkline.%I', name);
    execute format('insert into trunkline.%I (consumer_group, slot, id, handled_at) select * from unnest($1, $2, $3, $4)', name)
      using groups, slots, ids, times;
  end if;
  return true;
end $function$;

CREATE OR REPLACE FUNCTION trunkline.now()
 RETURNS timestamp with time zone
 LANGUAGE sql
AS $function$ select clock_timestamp() + coalesce(nullif(current_setting('trunkline.shift', true), '')::interval, interval '0') $function$;

CREATE OR REPLACE FUNCTION trunkline.open_inbox(name text, first bigint, past bigint)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if name !~ '^inbox_[0-9]{8}$' then raise exception 'not a partition of the inbox: %', name; end if;
  if first <> extract(epoch from to_date(right(name, 8), 'YYYYMMDD')) * 1000 or past <> first + 86400000 then
    raise exception 'not the day of %: % to %', name, first, past;
  end if;
  execute format('create table trunkline.%I (like trunkline.inbox including all)', name);
  lock table trunkline.inbox_rest in access exclusive mode;
  execute format(
    'with moved as (delete from trunkline.inbox_rest where slot >= $1 and slot < $2 returning consumer_group, slot, id, handled_at)
     insert into trunkline.%I (consumer_group, slot, id, handled_at) select consumer_group, slot, id, handled_at from moved', name)
    using first, past;
  execute format('alter table trunkline.inbox attach partition trunkline.%I for values from (%s) to (%s)', name, first, past);
end $function$;

CREATE OR REPLACE FUNCTION trunkline.tend_outbox_archive(keep interval)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '2s'
AS $function$
declare
  first_day date := (trunkline.now() at time zone 'UTC')::date;
  starts timestamptz;
  ends timestamptz;
  name text;
  dropped integer := 0;
begin
  for offset_days in 0..2 loop
    starts := ((first_day + offset_days)::timestamp) at time zone 'UTC';
    ends := ((first_day + offset_days + 1)::timestamp) at time zone 'UTC';
    name := 'outbox_archive_' || to_char(first_day + offset_days, 'YYYYMMDD');
    continue when to_regclass('trunkline.' || name) is not null;
    execute format('create table trunkline.%I (like trunkline.outbox_archive including defaults)', name);
    execute format(
      'with moved as (delete from trunkline.outbox_archive_rest where published_at >= $1 and published_at < $2 returning *)
       insert into trunkline.%I select * from moved', name) using starts, ends;
    execute format('alter table trunkline.outbox_archive attach partition trunkline.%I for values from (%L) to (%L)', name, starts, ends);
  end loop;

  for name in
    select child.relname
      from pg_inherits join pg_class as child on child.oid = inhrelid
     where inhparent = 'trunkline.outbox_archive'::regclass and child.relname ~ '^outbox_archive_\d{8}$'
       and ((to_date(right(child.relname, 8), 'YYYYMMDD') + 1)::timestamp at time zone 'UTC') <= trunkline.now() - keep
  loop
    execute format('drop table trunkline.%I', name);
    dropped := dropped + 1;
  end loop;
  delete from trunkline.outbox_archive_rest where published_at < trunkline.now() - keep;
  return dropped;
end $function$;
