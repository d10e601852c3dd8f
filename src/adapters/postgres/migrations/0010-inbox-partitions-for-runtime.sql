-- Services open and drop the partitions of their inbox, and their role may not make tables: the owner's functions do
-- it for them, for names of partitions and nothing else.

create or replace function trunkline.open_inbox(name text, first integer, past integer) returns void
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

create function trunkline.close_inbox(name text) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if name !~ '^inbox_[0-9]{8}$' then raise exception 'not a partition of the inbox: %', name; end if;
  execute format('drop table if exists trunkline.%I', name);
end $$;

revoke execute on function trunkline.open_inbox(text, integer, integer), trunkline.close_inbox(text) from public;
