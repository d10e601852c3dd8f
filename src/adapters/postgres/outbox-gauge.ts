import type { Queryable } from '../../core/database/database.ts'
import type { OutboxGauge, OutboxMeasure, OutboxSettings } from '../../core/outbox/outbox-room.ts'
import { mapMissingTable } from './errors.ts'

export class PostgresOutboxGauge implements OutboxGauge {
  readonly #outside: Queryable

  constructor(outside: Queryable) {
    this.#outside = outside
  }

  async measure({ rowsMax, bytesMax }: OutboxSettings, where: Queryable = this.#outside): Promise<OutboxMeasure> {
    try {
      const bound = toMeasure(await where.query(boundSql))
      if (bound.rows < rowsMax && bound.bytes < bytesMax) return bound
      return toMeasure(await where.query(countSql, [rowsMax, bytesMax]))
    } catch (error) {
      throw mapMissingTable(error)
    }
  }
}

function toMeasure({ rows: [row] }: { readonly rows: readonly Record<string, unknown>[] }): OutboxMeasure {
  return { rows: Number(row?.['rows'] ?? 0), bytes: Number(row?.['bytes'] ?? 0) }
}

// Upper bounds that cost nothing: the files only grow while messages wait, a row takes 64 bytes at the least, and no
// more rows can be left than numbers were taken since the owner last said that nothing was left below.
const boundSql = `
  select least(
           (select last_value - (not is_called)::int from trunkline.outbox_seq_seq)
             - (select floor from trunkline.outbox_lease where shard = 0),
           pg_relation_size('trunkline.outbox') / 64
         ) + pg_relation_size('trunkline.outbox_scheduled') / 64 as rows,
         pg_table_size('trunkline.outbox') + pg_table_size('trunkline.outbox_scheduled') as bytes`

// The files do not shrink when rows go: here rows are counted, as far as the limits reach, and weighed by some of them.
const countSql = `
  with weight as materialized (
    select coalesce(avg(octet_length(headers) + coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0)), 0)::bigint + 64 as bytes
      from (
        (select headers, key, value from trunkline.outbox order by seq desc limit 500)
        union all
        (select headers, key, value from trunkline.outbox_scheduled order by seq desc limit 500)
      ) as sample
  ), counted as (
    select count(*) as rows
      from (
        select from trunkline.outbox union all select from trunkline.outbox_scheduled
        limit least($1::bigint, $2::bigint / (select bytes from weight) + 1)
      ) as waiting
  )
  select counted.rows, counted.rows * weight.bytes as bytes from counted, weight`
