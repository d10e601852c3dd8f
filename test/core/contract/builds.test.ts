import { expect, test } from 'vitest'
import { generate } from '../../../src/core/contract/generate.ts'
import { loadSchemas } from '../../../src/core/contract/schema-files.ts'
import { newSchemas, oldSchemas } from './builds.ts'
import { folderOf } from './schema-folder.ts'

test.each([
  ['old', oldSchemas],
  ['new', newSchemas],
])('the contracts of the %s build are what the generator makes of its schemas', async (build, schemas) => {
  const files = generate(loadSchemas(folderOf(schemas)))

  for (const [name, text] of files) await expect(text).toMatchFileSnapshot(`builds/${build}/${name}`)
})
