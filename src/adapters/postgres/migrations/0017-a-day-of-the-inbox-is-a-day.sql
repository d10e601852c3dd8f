-- A build that counts an inbox's day in hours may run on while the tables change. What it opened bore the name of a day
-- and held none of its milliseconds, and nobody opened that day again.

create or replace function trunkline.open_inbox(name text, first bigint, past bigint) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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
end $$;
