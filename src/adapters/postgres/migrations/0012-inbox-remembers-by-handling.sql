-- A day of the inbox is dropped when its messages' ids are old. What was handled long after its id was made (a message for
-- later, a long backlog) is young all the same, and may be sent again: it moves to where rows are forgotten by when they
-- were handled.

drop function trunkline.close_inbox(text);

-- Drops a day. It is not dropped yet when more rows than `moved_max` would have to move, for nobody claims meanwhile.
-- Returns how many moved, or null when it stays.
create function trunkline.close_inbox(name text, keep interval, moved_max integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  groups text[];
  slots  integer[];
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

revoke execute on function trunkline.close_inbox(text, interval, integer) from public;
