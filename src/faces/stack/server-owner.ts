import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { messageOf } from '../../foundation/errors.ts'
import { type Missing, missing } from './missing.ts'

const run = promisify(execFile)
const name = 'postgres'

/** An OS user that a server runs as. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/**
 * The user PostgreSQL runs as: it refuses to run as root, so root gets a user of its own for it, made when missing.
 *
 * @returns `undefined` when we are not root and it runs as we do
 */
export async function serverOwner(): Promise<Owner | undefined | Missing> {
  if (process.getuid?.() !== 0) return undefined
  const known = await lookUp()
  if (known !== undefined) return known
  try {
    await run('groupadd', ['--system', name]).catch(() => undefined)
    await run('useradd', ['--system', '--no-create-home', '--gid', name, '--shell', '/bin/sh', name])
  } catch (error) {
    return missing(
      `PostgreSQL does not run as root and the user "${name}" could not be made (${messageOf(error).split('\n')[0]})`,
      `create it ("useradd --system ${name}"), run as another user, or set DATABASE_URL`,
    )
  }
  return (await lookUp()) ?? missing(`the user "${name}" was made and is not there`, 'run as another user, or set DATABASE_URL')
}

async function lookUp(): Promise<Owner | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])])
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  } catch {
    return undefined
  }
}

/** Whether that user may walk down to `path`: a home of root usually bars everybody else. */
export async function isReachable(path: string, owner: Owner): Promise<boolean> {
  for (let at = path; ; at = dirname(at)) {
    const found = await stat(at).catch(() => undefined)
    if (found !== undefined && (found.mode & walkBit(found, owner)) === 0) return false
    if (at === dirname(at)) return true
  }
}

function walkBit(found: { readonly uid: number; readonly gid: number }, owner: Owner): number {
  if (found.uid === owner.uid) return 0o100
  return found.gid === owner.gid ? 0o010 : 0o001
}
