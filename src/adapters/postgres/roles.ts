import { escapeIdentifier } from 'pg'

/** The names that an installation gives to the three roles. */
export interface RoleNames {
  /** Owns the schema and runs `trunkline migrate`; operators' commands run as it too. */
  readonly owner: string
  /** Services: publishes, consumes, retries, fires timers. */
  readonly runtime: string
  /** Empties the outbox. A service whose own process does that needs both: `grant relay to runtime`. */
  readonly relay: string
}

/** What the runtime may not do everywhere: in tables that are not named here it reads and writes rows. */
export const runtimeGrants: Readonly<Record<string, string>> = {
  migration: 'select',
  // Publishing only ever adds; what was acknowledged is the relay's to remove, what is held a person's.
  outbox: 'select, insert',
  outbox_scheduled: 'select, insert',
  outbox_lease: 'select',
  outbox_held_key: 'select',
  outbox_discarded: '',
  outbox_archive: '',
  // The record of what happened is only ever added to.
  incident: 'select, insert',
  audit: '',
  topic: 'select, insert',
}

/** All that the relay may do. */
export const relayGrants: Readonly<Record<string, string>> = {
  migration: 'select',
  // It locks the lease's row with each write, and moves due messages into the outbox.
  outbox: 'select, insert, delete',
  outbox_scheduled: 'select, delete',
  outbox_lease: 'select, update',
  outbox_held_key: 'select, insert, delete',
  outbox_discarded: 'select, insert',
  outbox_archive: 'select, insert',
  incident: 'select, insert',
  topic: 'select, insert',
}

/**
 * The statements that give three roles what they need and no more. They change nothing that is right already, so they
 * are run again after a migration that brought tables.
 *
 * Passwords, and who may log in, are not in it: `alter role … login password …`.
 */
export function rolesScript(names: RoleNames): string {
  const owner = escapeIdentifier(names.owner)
  const runtime = escapeIdentifier(names.runtime)
  const relay = escapeIdentifier(names.relay)
  return `-- As a superuser, or somebody who may create roles and owns the database. Run it again after each migration.
${[names.owner, names.runtime, names.relay].map(createRole).join('\n')}

-- ${names.owner}: runs "trunkline migrate" and operators' commands.
do $$ begin execute format('grant create, connect on database %I to ${literal(owner)}', current_database()); end $$;
${ownTables(owner)}

-- ${names.runtime}: publishes, consumes, retries, fires timers.
grant usage on schema trunkline to ${runtime};
revoke all on all tables in schema trunkline from ${runtime};
grant select, insert, update, delete on all tables in schema trunkline to ${runtime};
${restrictions(runtime)}
grant select on sequence trunkline.outbox_seq_seq to ${runtime};
grant execute on function trunkline.open_inbox(text, bigint, bigint), trunkline.empty_inbox(text, interval, integer), trunkline.close_inbox(text, interval, integer) to ${runtime};
alter default privileges for role ${owner} in schema trunkline grant select, insert, update, delete on tables to ${runtime};

-- ${names.relay}: empties the outbox.
grant usage on schema trunkline to ${relay};
revoke all on all tables in schema trunkline from ${relay};
${Object.entries(relayGrants)
  .map(([table, rights]) => `grant ${rights} on trunkline.${table} to ${relay};`)
  .join('\n')}
grant select on sequence trunkline.outbox_seq_seq to ${relay};
grant execute on function trunkline.tend_outbox_archive(interval) to ${relay};
`
}

function createRole(name: string): string {
  const quoted = name.replaceAll("'", "''")
  return `do $$ begin if to_regrole(quote_ident('${quoted}')) is null then execute format('create role %I', '${quoted}'); end if; end $$;`
}

/** What an earlier user made becomes the owner's, or it could not change it in the next migration. */
function ownTables(owner: string): string {
  return `alter schema trunkline owner to ${owner};
do $$ declare one record; begin
  for one in select relname, relkind from pg_class where relnamespace = 'trunkline'::regnamespace and relkind in ('r', 'p') loop
    execute format('alter table trunkline.%I owner to ${literal(owner)}', one.relname);
  end loop;
  for one in select oid::regprocedure as name from pg_proc where pronamespace = 'trunkline'::regnamespace loop
    execute format('alter function %s owner to ${literal(owner)}', one.name);
  end loop;
end $$;`
}

function restrictions(role: string): string {
  return Object.entries(runtimeGrants)
    .flatMap(([table, rights]) => [
      `revoke all on trunkline.${table} from ${role};`,
      ...(rights === '' ? [] : [`grant ${rights} on trunkline.${table} to ${role};`]),
    ])
    .join('\n')
}

/** Inside a text that is inside format(). */
function literal(identifier: string): string {
  return identifier.replaceAll("'", "''").replaceAll('%', '%%')
}
