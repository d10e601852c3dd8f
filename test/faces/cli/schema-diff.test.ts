import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { diffSchemas } from '../../../src/faces/cli/schema-diff.ts'
import { event, folderOf } from '../../core/contract/schema-folder.ts'

const bin = fileURLToPath(new URL('../../../src/faces/cli/bin.ts', import.meta.url))
const full = { compatibility: 'FULL_TRANSITIVE', overrides: {} } as const
const v1 = 'schemas/orders/OrderPlaced.v1.avsc'
const v2 = 'schemas/orders/OrderPlaced.v2.avsc'
const quantity = (type: string): object => ({ name: 'quantity', type })
const note = { name: 'note', type: 'string', default: '' }

function trunkline(cwd: string, ...args: string[]) {
  return spawnSync(process.execPath, [bin, 'schema', 'diff', ...args], { encoding: 'utf8', cwd })
}

test('says in words what changed and who can read whom, and ends with 3 where that breaks the level', () => {
  const folder = folderOf({ [v1]: event('OrderPlaced', [quantity('int')]), [v2]: event('OrderPlaced', [quantity('long'), note]) })

  const { status, stdout, stderr } = trunkline(folder, 'OrderPlaced.v1', v2)

  expect({ status, stdout: stdout.split('\n'), stderr }).toEqual({
    status: 3,
    stdout: [
      `${v1} -> ${v2}`,
      '  /fields/1/type  "quantity" was int and is long',
      '  /fields/2       "note" is new: string, default ""',
      '',
      `${v2} reads what ${v1} wrote: yes`,
      '',
      `${v1} reads what ${v2} wrote: no`,
      '  /fields/1/type  TYPE_MISMATCH: "quantity" is long and was int',
      '',
    ],
    stderr: 'This breaks FULL_TRANSITIVE. docs/contracts.md says what to do.\n',
  })
})

test('ends with 0 where nothing breaks, and says so when nothing changed', () => {
  const folder = folderOf({ [v1]: event('OrderPlaced'), [v2]: event('OrderPlaced', [note]) })

  const [compatible, same] = [trunkline(folder, v1, v2), trunkline(folder, v1, v1)]

  expect([compatible.status, same.status]).toEqual([0, 0])
  expect(same.stdout).toContain('\n  nothing changed\n')
})

test('with --json prints one object', () => {
  const folder = folderOf({ [v1]: event('OrderPlaced'), [v2]: event('OrderPlaced', [note]) })

  const { stdout } = trunkline(folder, 'shop.orders.OrderPlaced.v1', 'OrderPlaced.v2', '--json')

  expect(JSON.parse(stdout)).toEqual({
    before: v1,
    after: v2,
    level: 'FULL_TRANSITIVE',
    differences: [{ pointer: '/fields/1', side: 'after', text: '"note" is new: string, default ""' }],
    backward: [],
    forward: [],
    compatible: true,
  })
})

test('compares with a file from elsewhere, whose references mean the files of the project', () => {
  const money = { type: 'record', name: 'Money', namespace: 'shop.common', fields: [{ name: 'amount', type: 'long' }] }
  const total = { name: 'total', type: 'shop.common.Money' }
  const folder = folderOf({
    [v1]: event('OrderPlaced', [total]),
    'schemas/common/Money.v1.avsc': money,
    'elsewhere.avsc': event('OrderPlaced', [total, note]),
  })

  const diff = diffSchemas(join(folder, 'schemas'), full, 'OrderPlaced.v1', join(folder, 'elsewhere.avsc'))

  expect(diff).toMatchObject({ compatible: true, backward: [], forward: [], differences: [{ pointer: '/fields/2' }] })
})

test('needs no project for two files', () => {
  const folder = folderOf({ 'a.avsc': { type: 'fixed', name: 'Hash', size: 4 }, 'b.avsc': { type: 'fixed', name: 'Hash', size: 8 } })

  const diff = diffSchemas(join(folder, 'schemas'), full, join(folder, 'a.avsc'), join(folder, 'b.avsc'))

  expect(diff.differences.map(({ text }) => text)).toEqual(['size of the schema was 4 and is 8'])
  expect(diff.compatible).toBe(false)
})

test('judges by the level of the message', () => {
  const folder = folderOf({ [v1]: event('OrderPlaced', [quantity('int')]), [v2]: event('OrderPlaced', [quantity('long')]) })
  const policy = { compatibility: 'FULL', overrides: { 'shop.orders.OrderPlaced': 'BACKWARD' } } as const

  expect(diffSchemas(join(folder, 'schemas'), policy, 'OrderPlaced.v1', 'OrderPlaced.v2')).toMatchObject({
    level: 'BACKWARD',
    compatible: true,
  })
})

test('ends with 2 for a name that there is not, suggests the one that was meant, and asks where two are called alike', () => {
  const folder = folderOf({
    [v1]: event('OrderPlaced'),
    'schemas/sales/OrderPlaced.v1.avsc': { ...event('OrderPlaced'), namespace: 'shop.sales' },
  })

  const [unknown, ambiguous] = [trunkline(folder, 'OrderPlacd.v1', v1), trunkline(folder, 'OrderPlaced.v1', v1)]

  expect([unknown.status, ambiguous.status]).toEqual([2, 2])
  expect(unknown.stderr).toContain('did you mean "OrderPlaced.v1"?')
  expect(ambiguous.stderr).toContain(
    '"OrderPlaced.v1" may be shop.orders.OrderPlaced.v1 or shop.sales.OrderPlaced.v1. Write the full name.',
  )
})
