-- Messages that are in Kafka, kept for a stated time where the service asks for it: outbox: { archive: '7d' }.
-- One partition a day (of UTC), dropped whole when it is old enough.

create table trunkline.outbox_archive (
  published_at timestamptz not null default trunkline.now(),
  seq          bigint      not null,
  bucket       smallint    not null,
  key_hash     integer     not null,
  topic        text        not null,
  id           uuid        not null,
  key          bytea,
  value        bytea,
  headers      bytea       not null,
  created_at   timestamptz not null
) partition by range (published_at);
create index outbox_archive_by_topic on trunkline.outbox_archive (topic, published_at);
create index outbox_archive_by_id on trunkline.outbox_archive (id);

-- Takes what comes before its day has a partition, so that nothing that Kafka has acknowledged must wait for one.
create table trunkline.outbox_archive_rest partition of trunkline.outbox_archive default;

-- Makes the partitions of today and the next two days, and drops those that ended longer than `keep` ago.
-- The relay's role may call it and needs no right to make tables. It gives up on a lock after two seconds.
create function trunkline.tend_outbox_archive(keep interval) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
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
end $$;
revoke execute on function trunkline.tend_outbox_archive(interval) from public;
