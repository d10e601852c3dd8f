import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A folder on a file system of so many MB, until the test is over; `undefined` where such a thing cannot be made. */
export function smallDisk(sizeMb: number): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMb}m`, 'tmpfs', folder], { stdio: 'ignore' })
    onTestFinished(() => {
      execFileSync('umount', ['-l', folder])
      rmSync(folder, { recursive: true, force: true })
    })
    return folder
  } catch {
    rmSync(folder, { recursive: true, force: true })
    return undefined
  }
}

/** Uses up what is left of it. @returns gives the room back */
export function fillDisk(folder: string): () => void {
  const filler = join(folder, 'filler')
  for (let size = 1 << 20; size >= 1 << 10; ) {
    try {
      writeFileSync(filler, Buffer.alloc(size), { flag: 'a' })
    } catch {
      size /= 2
    }
  }
  return () => rmSync(filler)
}
