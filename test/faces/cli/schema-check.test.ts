import { execFileSync, spawnSync } from 'node:child_process'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { checkSchemas } from '../../../src/faces/cli/schema-check.ts'
import { event, folderOf } from '../../core/contract/schema-folder.ts'

const bin = fileURLToPath(new URL('../../../src/faces/cli/bin.ts', import.meta.url))
const full = { compatibility: 'FULL_TRANSITIVE', overrides: {} } as const
const v1 = 'schemas/orders/OrderPlaced.v1.avsc'
const v2 = 'schemas/orders/OrderPlaced.v2.avsc'
const note = { name: 'note', type: 'string', default: '' }
const sku = { name: 'sku', type: 'string' }
const money = { type: 'record', name: 'Money', namespace: 'shop.common', fields: [{ name: 'amount', type: 'long' }] }

function trunkline(cwd: string, ...args: string[]) {
  return spawnSync(process.execPath, [bin, 'schema', 'check', ...args], { encoding: 'utf8', cwd })
}

/** A folder with these files in a repository, all of them committed. */
function repositoryOf(files: Readonly<Record<string, unknown>>): string {
  const folder = folderOf(files)
  const git = (...args: string[]): string =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], { cwd: folder, encoding: 'utf8' })
  git('init', '--quiet', '--initial-branch=main')
  git('add', '--all')
  git('commit', '--quiet', '--message=released')
  return folder
}

function write(folder: string, file: string, schema: unknown): void {
  writeFileSync(join(folder, file), JSON.stringify(schema, null, 4))
}

/** What stands in a line of its own, without the words. */
function rules(folder: string, base?: string): string[] {
  return checkSchemas(join(folder, 'schemas'), full, base).findings.map(({ file, pointer, rule }) => `${file}#${pointer} ${rule}`)
}

describe('trunkline schema check', () => {
  test('ends with 0 and says how many files it looked at when there is nothing to object to', () => {
    const { status, stdout, stderr } = trunkline(folderOf({ [v1]: event('OrderPlaced'), [v2]: event('OrderPlaced', [note]) }))

    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '2 schema files: nothing to object to.\n' })
  })

  test('ends with 3 and prints each finding with its file, its place, what, why and what to do', () => {
    const { status, stdout, stderr } = trunkline(
      folderOf({ [v1]: event('OrderPlaced'), [v2]: event('OrderPlaced', [sku, { name: 'fee', type: 'double', default: 0 }]) }),
    )

    expect(status).toBe(3)
    expect(stdout).toBe(
      `${v2}#/fields/2/type  MONEY_AS_FLOAT\n  "fee" sounds like money and is a floating-point number, which cannot hold 0.10 exactly.\n  Use a long in minor units (1250 is 12.50), or bytes with "logicalType": "decimal".\n\n` +
        `${v2}#/fields/1  READER_FIELD_MISSING_DEFAULT_VALUE\n  "sku" is new and has no default: version 2 cannot read what version 1 wrote.\n  Give it one: "type": ["null", …], "default": null.\n\n`,
    )
    expect(stderr).toBe('2 findings in 1 file.\n')
  })

  test('with --json prints one object, also when there is nothing to object to', () => {
    const folder = folderOf({ [v1]: event('OrderPlaced') })

    expect(JSON.parse(trunkline(folder, '--json').stdout)).toEqual({ files: 1, findings: [] })
    write(folder, v2, event('OrderPlaced', [sku]))
    const { status, stdout } = trunkline(folder, '--json')

    expect(status).toBe(3)
    expect(JSON.parse(stdout)).toMatchObject({ files: 2, findings: [{ file: 'orders/OrderPlaced.v2.avsc', pointer: '/fields/1' }] })
  })

  test('keeps to the level of the configuration', () => {
    const files = { [v1]: event('OrderPlaced'), [v2]: event('OrderPlaced', [sku]) }
    const config = "export default { schema: { overrides: { 'shop.orders.OrderPlaced': 'FORWARD' } } }\n"

    expect(trunkline(folderOf({ ...files, 'trunkline.config.ts': config })).status).toBe(0)
    expect(trunkline(folderOf({ ...files, 'trunkline.config.ts': config.replace('FORWARD', 'BACKWARD') })).status).toBe(3)
  })

  test('ends with 2 for a level that there is not, a folder that is missing, and a revision that git does not know', () => {
    const folder = repositoryOf({ [v1]: event('OrderPlaced') })
    const misconfigured = folderOf({
      [v1]: event('OrderPlaced'),
      'trunkline.config.ts': "export default { schema: { compatibility: 'FULLY' } }\n",
    })

    const answers = [
      trunkline(misconfigured),
      trunkline(folder, '--schemas', 'nowhere'),
      trunkline(folder, '--base', 'nowhere'),
      trunkline(folder, '--base=--output=x'),
    ]

    expect(answers.map(({ status }) => status)).toEqual([2, 2, 2, 2])
    expect(answers.map(({ stderr }) => stderr)).toEqual([
      expect.stringContaining('"schema.compatibility"'),
      expect.stringContaining('The folder of schemas cannot be read'),
      expect.stringContaining('git cannot find that revision'),
      expect.stringContaining('git cannot find that revision'),
    ])
  })

  test.each<[string, unknown, string]>([
    ['no JSON', '{', '# SCHEMA_INVALID'],
    [
      'items without bytes',
      event('OrderPlaced', [{ name: 'gaps', type: { type: 'array', items: 'null' } }]),
      '#/fields/1/type/items SCHEMA_INVALID',
    ],
    ['a name that every object has', event('OrderPlaced', [{ name: 'toString', type: 'string' }]), '#/fields/1/name SCHEMA_INVALID'],
    [
      'a reply that is missing',
      event('OrderPlaced', [], { kind: 'command', replies: ['shop.orders.Gone'] }),
      '#/trunkline/replies/0 SCHEMA_INVALID',
    ],
  ])('a file that cannot be used is a finding: %s', (_what, schema, expected) => {
    expect(rules(folderOf({ [v1]: schema }))).toEqual([`orders/OrderPlaced.v1.avsc${expected}`])
  })
})

describe('trunkline schema check --base', () => {
  test('lets new files and new versions pass', () => {
    const folder = repositoryOf({ [v1]: event('OrderPlaced') })
    write(folder, v2, event('OrderPlaced', [note]))

    expect(rules(folder, 'main')).toEqual([])
  })

  test('refuses a changed released file, saying what changed, and a deleted one', () => {
    const folder = repositoryOf({ [v1]: event('OrderPlaced', [note]), 'schemas/orders/OrderSent.v1.avsc': event('OrderSent') })
    write(folder, v1, event('OrderPlaced', [{ ...note, type: 'bytes' }]))
    rmSync(join(folder, 'schemas/orders/OrderSent.v1.avsc'))

    const { status, stdout } = trunkline(folder, '--base', 'main')

    expect(status).toBe(3)
    expect(stdout).toContain(
      `${v1}#/fields/1/type  RELEASED_CHANGED\n  it is in main, so it is released and must not change, and "note" was string and is bytes.\n  Restore it, and put the change into orders/OrderPlaced.v2.avsc.\n`,
    )
    expect(stdout).toContain('schemas/orders/OrderSent.v1.avsc#  RELEASED_DELETED\n  it is in main and was deleted here')
  })

  test('takes a file that was renamed for one that is gone', () => {
    const folder = repositoryOf({ [v1]: event('OrderPlaced', [note]) })
    renameSync(join(folder, v1), join(folder, 'schemas/orders/OrderSent.v1.avsc'))
    execFileSync('git', ['add', '--all'], { cwd: folder })
    write(folder, 'schemas/orders/OrderSent.v1.avsc', event('OrderSent', [note]))

    expect(rules(folder, 'main')).toEqual(['orders/OrderPlaced.v1.avsc# RELEASED_DELETED'])
  })

  test('finds a change that is committed already, and one in a folder below the root', () => {
    const folder = repositoryOf({ [`packages/shop/${v1}`]: event('OrderPlaced') })
    write(folder, `packages/shop/${v1}`, event('OrderPlaced', [], { topic: 'sales' }))
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', 'commit', '--quiet', '--all', '--message=edited'], {
      cwd: folder,
    })

    expect(rules(join(folder, 'packages/shop'), 'HEAD')).toEqual([])
    expect(rules(join(folder, 'packages/shop'), 'HEAD~1')).toEqual(['orders/OrderPlaced.v1.avsc#/trunkline/topic RELEASED_CHANGED'])
  })

  test('does not mind what was released elsewhere since the branch began', () => {
    const folder = repositoryOf({ [v1]: event('OrderPlaced') })
    const git = (...args: string[]): string =>
      execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], { cwd: folder, encoding: 'utf8' })
    git('checkout', '--quiet', '-b', 'feature')
    git('checkout', '--quiet', 'main')
    write(folder, v2, event('OrderPlaced', [note]))
    git('add', '--all')
    git('commit', '--quiet', '--message=more')
    git('checkout', '--quiet', 'feature')

    expect(rules(folder, 'main')).toEqual([])
  })

  test('lets the layout change, and a reference begin to say which version it always meant', () => {
    const released = (type: string): object => event('OrderPlaced', [{ name: 'total', type: ['null', type], default: null }])
    const folder = repositoryOf({ [v1]: released('shop.common.Money'), 'schemas/common/Money.v1.avsc': money })
    write(folder, v1, released('shop.common.Money.v1'))
    write(folder, 'schemas/common/Money.v2.avsc', { ...money, fields: [...money.fields, { ...note, name: 'currency' }] })

    expect(rules(folder, 'main')).toEqual([])

    write(folder, v1, released('shop.common.Money.v2'))

    expect(rules(folder, 'main')).toEqual(['orders/OrderPlaced.v1.avsc#/fields/1/type RELEASED_CHANGED'])
  })
})
