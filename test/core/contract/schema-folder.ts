import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A folder with these files, gone when the test is over; what is no text is written as JSON. */
export function folderOf(files: Readonly<Record<string, unknown>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'schemas-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
  }
  return folder
}

/** An event of the domain `orders` with these fields, `id` among them. */
export function event(name: string, fields: readonly unknown[] = [], routing: object = {}): Record<string, unknown> {
  return {
    type: 'record',
    name,
    namespace: 'shop.orders',
    trunkline: { kind: 'event', topic: 'orders', key: 'id', ...routing },
    fields: [{ name: 'id', type: 'string' }, ...fields],
  }
}
