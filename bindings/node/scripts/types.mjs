// What the package declares to TypeScript's users, as one text: types/public.d.ts, which is checked in.
//
//     npm run types        writes it
//
// A change of the types is so seen where it is made and reviewed; a test compares the two. The comments are left out: they may
// change without being asked about.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Where the text is kept. */
export const KEPT = join(root, 'types/public.d.ts')

/** The declarations of each module that users' compilers come to from what `exports` names, with comments, by its name. */
export function modules() {
  const found = new Map()
  const next = ['index.d.ts', 'testing.d.ts']
  for (const file of next) {
    const text = readFileSync(join(root, 'dist', file), 'utf8')
    found.set(file, text)
    for (const [, from] of text.matchAll(/(?:from |import\()['"](\.[^'"]+)\.js['"]/g)) {
      const other = posix.join(posix.dirname(file), `${from}.d.ts`)
      if (!next.includes(other)) next.push(other)
    }
  }
  return new Map([...found].sort(([one], [other]) => (one < other ? -1 : 1)))
}

/** The text as it is now. */
export function text() {
  const declared = [...modules()].map(([file, text]) => `// ${file}\n\n${text.replace(/^\s*\/\*\*.*?\*\/\n/gms, '')}`)
  return ['// What the package declares, without its comments: written by `npm run types`, and not to be edited.\n', ...declared].join('\n')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(join(root, 'types'), { recursive: true })
  writeFileSync(KEPT, text())
}
