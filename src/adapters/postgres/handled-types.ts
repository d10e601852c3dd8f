import type { HandledType, HandledTypes } from '../../core/consume/handled-types.ts'
import type { Database } from '../../core/database/database.ts'

export class PostgresHandledTypes<Tx> implements HandledTypes<Tx> {
  readonly #database: Pick<Database<Tx>, 'queryable' | 'outside'>

  constructor(database: Pick<Database<Tx>, 'queryable' | 'outside'>) {
    this.#database = database
  }

  async list(group: string): Promise<readonly HandledType[]> {
    const { rows } = await this.#database.outside.query(listSql, [group])
    return rows.map((row) => ({ name: String(row['name']), processes: Number(row['processes']), waiting: Number(row['waiting']) }))
  }

  async forget(tx: Tx, group: string, name: string): Promise<boolean> {
    const queryable = this.#database.queryable(tx)
    // First: a process that is late may say at this moment that it lives. The next statement sees what it said.
    await queryable.query(lockSql, [group, name])
    return (await queryable.query(forgetSql, [group, name])).rowCount === 1
  }
}

const listSql = `
  select h.name,
         (select count(*) from trunkline.process p
           where p.expires_at > trunkline.now() and jsonb_exists(p.handles -> h.consumer_group, h.name)) as processes,
         (select count(*) from trunkline.parked_message m
           where m.consumer_group = h.consumer_group and m.name = h.name and m.state = 'waiting' and m.reason_code = 'HANDLER_ELSEWHERE') as waiting
    from trunkline.group_handles h
   where h.consumer_group = $1
   order by h.name`

const lockSql = `
  select from trunkline.process
   where jsonb_exists(handles -> $1, $2)
   order by id
     for update`

const forgetSql = `
  delete from trunkline.group_handles
   where consumer_group = $1 and name = $2
     and not exists (select from trunkline.process p
                      where p.expires_at > trunkline.now() and jsonb_exists(p.handles -> $1, $2))`
