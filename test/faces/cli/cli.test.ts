import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const bin = fileURLToPath(new URL('../../../src/faces/cli/bin.ts', import.meta.url))

function trunkline(...args: string[]) {
  return spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8' })
}

test('prints help on stdout with exit code 0', () => {
  const { status, stdout } = trunkline('--help')

  expect(status).toBe(0)
  expect(stdout).toMatch(/Usage: trunkline/)
})

test('answers a mistyped command with the one that was meant, and exit code 2', () => {
  const { status, stderr } = trunkline('dev', 'statsu')

  expect(status).toBe(2)
  expect(stderr).toContain('Did you mean status?')
})

test('names a bad option and what it must be', () => {
  const { status, stderr } = trunkline('dev', 'up', '--brokers', '2')

  expect(status).toBe(2)
  expect(stderr).toContain('It must be 1 or 3.')
})

test('an old Node gets one line that names the version needed, and exit code 2', () => {
  const source = stripTypeScriptTypes(readFileSync(bin, 'utf8').replace(/^#!.*/, ''))
  const oldNode = `Object.defineProperty(process.versions, 'node', { value: '20.20.2' });`

  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', `${oldNode}\n${source}`], { encoding: 'utf8' })

  expect(status).toBe(2)
  expect(stderr).toMatch(/^trunkline needs Node 22\.18 or newer; this is 20\.20\.2\. .*\n$/)
})
