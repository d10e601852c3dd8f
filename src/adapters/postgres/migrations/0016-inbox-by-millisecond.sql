-- The inbox by the millisecond of the messages' own time, and the time before all else in the index: what is handled
-- together stands together. By the hour each row of a batch went to another page of the index.
-- An id says no hour of its own, so what an earlier build remembered cannot be taken along.

drop table trunkline.inbox;
create table trunkline.inbox (
  -- Milliseconds since 1970, from the message's id; 0 where it says no time. Never from now(): see core/inbox/slot.ts.
  slot           bigint      not null,
  id             uuid        not null,
  handled_at     timestamptz not null default trunkline.now(),
  consumer_group text        not null,
  primary key (slot, id, consumer_group)
) partition by range (slot);

-- Whatever has no time, or one for which there is no partition; forgotten by when it was handled.
create table trunkline.inbox_rest partition of trunkline.inbox default;
create index inbox_rest_by_age on trunkline.inbox_rest (handled_at);

drop function trunkline.open_inbox(text, integer, integer);

-- Opens a partition for the milliseconds from `first` up to before `past`. What was claimed for them before moves there,
-- and nobody claims meanwhile.
create function trunkline.open_inbox(name text, first bigint, past bigint) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if name !~ '^inbox_[0-9]{8}$' then raise exception 'not a partition of the inbox: %', name; end if;
  execute format('create table trunkline.%I (like trunkline.inbox including all)', name);
  lock table trunkline.inbox_rest in access exclusive mode;
  execute format(
    'with moved as (delete from trunkline.inbox_rest where slot >= $1 and slot < $2 returning consumer_group, slot, id, handled_at)
     insert into trunkline.%I (consumer_group, slot, id, handled_at) select consumer_group, slot, id, handled_at from moved', name)
    using first, past;
  execute format('alter table trunkline.inbox attach partition trunkline.%I for values from (%s) to (%s)', name, first, past);
end $$;

revoke execute on function trunkline.open_inbox(text, bigint, bigint) from public;

-- As before, with larger slots.
create or replace function trunkline.empty_inbox(name text, keep interval, kept_max integer) returns boolean
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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
end $$;

create or replace function trunkline.close_inbox(name text, keep interval, moved_max integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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
end $$;
