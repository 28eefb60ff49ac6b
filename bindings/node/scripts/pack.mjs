// Packs what is published: `ferromq`, and for each platform a package with the native half for it.
//
//     node scripts/pack.mjs OUT [BINARY...]
//
// BINARY is a `ferromq.PLATFORM.node` as `napi build` names it; those of this directory unless given. The package has been
// built: `npm run build:native:release && npm run build:lib`.
//
// Always true of what it leaves in OUT:
// * nothing runs and nothing is downloaded when it is installed, and there are no dependencies but those here;
// * `ferromq` names the packages of all platforms, whichever are packed now, in its own version and as optional: npm installs
//   the one for where it runs, by its `os`, `cpu` and `libc`.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { parseTriple } from '@napi-rs/cli'

const root = fileURLToPath(new URL('..', import.meta.url))
const source = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const { binaryName, targets } = source.napi
const platforms = new Map(targets.map(parseTriple).map((target) => [target.platformArchABI, target]))

/** What every package says of itself. */
const about = ({ name, version, description, license, repository, engines }) => ({
  name,
  version,
  description,
  license,
  repository,
  engines,
})

/** `ferromq`: all but what is for working on it, and with the packages of the platforms. */
function main() {
  const { devDependencies, scripts, napi, ...published } = source
  const optionalDependencies = Object.fromEntries(
    [...platforms.keys()].map((platform) => [`${source.name}-${platform}`, source.version]),
  )
  return { ...published, optionalDependencies }
}

/** The package of one platform. */
function native({ platformArchABI, platform, arch, abi }, file) {
  const libc = { gnu: ['glibc'], musl: ['musl'] }[abi]
  return {
    ...about(source),
    name: `${source.name}-${platformArchABI}`,
    description: `The native half of ${source.name} for ${platformArchABI}: install ${source.name} instead`,
    os: [platform],
    cpu: [arch],
    ...(platform === 'linux' && { libc }),
    main: file,
    files: [file],
  }
}

/** Packs a package that has `description` as its package.json and, beside it, what `fill` puts there. */
function pack(description, fill) {
  const stage = mkdtempSync(join(tmpdir(), 'ferromq-pack-'))
  try {
    fill(stage)
    writeFileSync(join(stage, 'package.json'), JSON.stringify(description, undefined, 2) + '\n')
    cpSync(join(root, '../../LICENSE'), join(stage, 'LICENSE'))
    const options = ['pack', '--silent', '--ignore-scripts', '--pack-destination', out]
    const file = execFileSync('npm', options, { cwd: stage, encoding: 'utf8', shell: process.platform === 'win32' }).trim()
    console.log(`${file}: ${statSync(join(out, file)).size} bytes`)
  } finally {
    rmSync(stage, { recursive: true, force: true })
  }
}

const [to, ...given] = process.argv.slice(2)
if (to === undefined) {
  console.error('usage: node scripts/pack.mjs OUT [BINARY...]')
  process.exit(2)
}
const out = resolve(to)
mkdirSync(out, { recursive: true })

const binaries = given.length > 0 ? given : readdirSync(root).filter((file) => file.endsWith('.node')).map((file) => join(root, file))
for (const binary of binaries) {
  const file = basename(binary)
  const platform = platforms.get(file.slice(binaryName.length + 1, -'.node'.length))
  if (platform === undefined) {
    throw new Error(`${file} is for none of the platforms in package.json`)
  }
  pack(native(platform, file), (stage) => {
    cpSync(binary, join(stage, file))
    writeFileSync(join(stage, 'README.md'), `The native half of \`${source.name}\`, which installs it where it runs.\n`)
  })
}
pack(main(), (stage) => {
  for (const file of ['README.md', ...source.files.filter((pattern) => !pattern.startsWith('!'))]) {
    cpSync(join(root, file), join(stage, file), { recursive: true })
  }
})
