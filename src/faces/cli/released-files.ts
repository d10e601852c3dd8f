import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { differences } from '../../core/contract/difference.ts'
import type { Finding } from '../../core/contract/finding.ts'
import { ConfigurationError, messageOf } from '../../foundation/errors.ts'

/** What git may print: the names of all files, or one of them. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

/**
 * Compares the schema files with those of a git revision, where they count as released: they may not change and not go,
 * because messages written with them are still in topics, outboxes and other programs.
 *
 * Layout may change, and a reference may begin to say `.v1`, which is what it meant without a version.
 *
 * @param base what the branch started from is asked, not what was added there since
 * @returns a finding for each file that is not as it was released
 * @throws ConfigurationError `BASE_UNKNOWN`: there is no git, no repository, or no such revision
 */
export function releasedFileChanges(schemas: string, base: string): readonly Finding[] {
  const commit = commonCommit(schemas, base)
  // Relative to the folder, and split at NUL: names may hold anything.
  const changes = git(schemas, 'diff', '--name-status', '-z', '--no-renames', '--no-ext-diff', '--relative', commit, '--', '.').split('\0')
  const findings: Finding[] = []
  for (let index = 0; index + 1 < changes.length; index += 2) {
    const [status, file = ''] = [changes[index], changes[index + 1]]
    if (!/\.v\d+\.avsc$/.test(file) || status === 'A') continue
    if (status === 'D') findings.push(deleted(file, base))
    else findings.push(...edited(file, git(schemas, 'show', `${commit}:./${file}`), readFileSync(join(schemas, file), 'utf8'), base))
  }
  return findings
}

function commonCommit(schemas: string, base: string): string {
  try {
    // After --end-of-options nothing that a person typed can be taken for an option.
    const commit = git(schemas, 'rev-parse', '--verify', '--end-of-options', `${base}^{commit}`).trim()
    return mergeBase(schemas, commit) ?? commit
  } catch (error) {
    throw new ConfigurationError(
      'BASE_UNKNOWN',
      `--base ${base}: git cannot find that revision from ${schemas} (${reasonOf(error)}). In a shallow clone, fetch it first: git fetch origin <branch>.`,
      { base },
      error,
    )
  }
}

/** @returns `undefined` where the two have no history in common */
function mergeBase(schemas: string, commit: string): string | undefined {
  try {
    return git(schemas, 'merge-base', commit, 'HEAD').trim()
  } catch {
    return undefined
  }
}

function git(folder: string, ...args: readonly string[]): string {
  return execFileSync('git', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: OUTPUT_BYTES_MAX })
}

function reasonOf(error: unknown): string {
  const stderr = typeof error === 'object' && error !== null && 'stderr' in error ? String(error.stderr).trim() : ''
  return stderr === '' ? (messageOf(error).split('\n')[0] ?? '') : stderr
}

function deleted(file: string, base: string): Finding {
  return {
    file,
    pointer: '',
    rule: 'RELEASED_DELETED',
    problem: `it is in ${base} and was deleted here: what was written with it can no longer be read.`,
    mend: `Restore it. A message that is no longer sent keeps its files (docs/contracts.md, "Retire").`,
  }
}

function edited(file: string, before: string, after: string, base: string): Finding[] {
  const next = file.replace(/\.v(\d+)\.avsc$/, (_, version) => `.v${Number(version) + 1}.avsc`)
  const mend = `Restore it, and put the change into ${next}.`
  return differences(pinned(parse(before)), pinned(parse(after))).map(({ pointer, side, text }) => ({
    file,
    pointer: side === 'after' ? pointer : '',
    rule: 'RELEASED_CHANGED',
    problem: `it is in ${base}, so it is released and must not change, and ${text}.`,
    mend,
  }))
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Another finding says what is wrong with it; here it is only something else than it was.
    return text
  }
}

/** A reference without a version is one to the only version, the first. */
function pinned(schema: unknown): unknown {
  if (typeof schema === 'string') return schema.replace(/^([\w.]+)\.v1$/, '$1')
  if (Array.isArray(schema)) return schema.map(pinned)
  if (typeof schema !== 'object' || schema === null) return schema
  return Object.fromEntries(
    Object.entries(schema).map(([name, value]) => [name, TYPE_ATTRIBUTES.has(name) ? pinned(value) : pinnedFields(name, value)]),
  )
}

const TYPE_ATTRIBUTES = new Set(['type', 'items', 'values'])

/** Texts elsewhere, such as a description or a default, are no references. */
function pinnedFields(name: string, value: unknown): unknown {
  return name === 'fields' && Array.isArray(value) ? value.map(pinned) : value
}
