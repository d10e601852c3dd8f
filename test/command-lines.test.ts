import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

describe.each([
  ['prove', './prove.ts', /npm run prove -- <name>/],
  ['bench', '../bench/run.ts', /npm run bench -- \[acked\|/],
])('the command line of %s', (_name, script, usage) => {
  const ask = (...args: string[]) =>
    spawnSync(process.execPath, [fileURLToPath(new URL(script, import.meta.url)), ...args], { encoding: 'utf8' })

  test('--help prints how it is used', () => {
    const { status, stdout, stderr } = ask('--help')

    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(usage)
  })

  test('what it does not know is refused, with how it is used', () => {
    const { status, stdout, stderr } = ask('--wrong')

    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^Unknown option '--wrong'/)
    expect(stderr).toMatch(usage)
  })
})
