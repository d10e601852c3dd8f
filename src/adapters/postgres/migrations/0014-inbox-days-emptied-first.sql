-- A day of the inbox goes in two steps. To detach it takes the whole inbox for a moment, which is not to be had while
-- handlers run without a break; to empty it takes that day alone, in which nobody claims any more.

-- Forgets what is old in a day, and leaves what is young where it is looked for. Returns whether no more than `kept_max`
-- rows are left; where more are young, nothing is forgotten.
create function trunkline.empty_inbox(name text, keep interval, kept_max integer) returns boolean
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  groups text[];
  slots  integer[];
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

revoke execute on function trunkline.empty_inbox(text, interval, integer) from public;
