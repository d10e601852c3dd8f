import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const inDocs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => join('docs', name))
const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...inDocs.filter((name) => name.endsWith('.md'))]

/** Where a page may point from: the page's folder for links, the root or the sources for a path in the text. */
function missingFrom(page: string): string[] {
  const text = readFileSync(join(root, page), 'utf8').replace(/```[\s\S]*?```/g, '')
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)].map(([, link = '']) => [join(root, dirname(page), link)])
  const paths = [...text.matchAll(/`([a-z-]+(?:\/[\w.-]+)+\.(?:ts|json|sql|avsc))`/g)].map(([, path = '']) => [
    join(root, path),
    join(root, 'src', path),
  ])
  return [...links, ...paths].filter((places) => !places.some((place) => existsSync(place))).map(([place = '']) => place.slice(root.length))
}

for (const page of pages) {
  test(`${page} names only files that are there`, () => {
    expect(missingFrom(page)).toEqual([])
  })
}
