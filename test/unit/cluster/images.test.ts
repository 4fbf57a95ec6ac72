import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { deflateRawSync, crc32 } from 'node:zlib'

import { describe, expect, it } from '@jest/globals'

import { createImageArchive, type ImageSpec } from '../../../lib/cluster/images.ts'
import { createTar } from '../../../lib/cluster/tar.ts'
import { listZip, readZipFile } from '../../../lib/cluster/zip.ts'

function tar(args: string[], input: Buffer): string {
  return execFileSync('tar', args, {
    input,
    encoding: 'utf8',
    env: { TZ: 'UTC', PATH: '/usr/bin:/bin' },
  })
}

describe('createTar', () => {
  it('writes files, folders and links that tar itself reads', () => {
    const archive = createTar([
      { type: 'directory', path: 'tmp', mode: 0o1777 },
      { type: 'file', path: 'bin/tool', content: Buffer.from('#!'), mode: 0o755 },
      { type: 'file', path: 'empty', content: new Uint8Array() },
      { type: 'symlink', path: 'bin/sh', target: 'tool' },
    ])
    expect(
      tar(['-tv', '--numeric-owner', '-f', '-'], archive).replaceAll(/ +/g, ' ').trim().split('\n'),
    ).toEqual([
      'drwxrwxrwt 0/0 0 1970-01-01 00:00 tmp/',
      '-rwxr-xr-x 0/0 2 1970-01-01 00:00 bin/tool',
      '-rw-r--r-- 0/0 0 1970-01-01 00:00 empty',
      'lrwxrwxrwx 0/0 0 1970-01-01 00:00 bin/sh -> tool',
    ])
  })

  it.each([0, 1, 511, 512, 513, 1024])('keeps the content of a file of %d bytes', (size) => {
    const content = Buffer.alloc(size, 'podgate')
    const archive = createTar([
      { type: 'file', path: 'a', content },
      { type: 'file', path: 'b', content: Buffer.from('after') },
    ])
    expect(tar(['-xO', '-f', '-', 'a'], archive)).toBe(content.toString())
    expect(tar(['-xO', '-f', '-', 'b'], archive)).toBe('after')
  })

  it.each([99, 100, 101, 200])('keeps a path of %d bytes', (length) => {
    const path = `${'deep/'.repeat(40).slice(0, length - 1)}x`.replaceAll('//', '/x')
    const archive = createTar([{ type: 'file', path, content: Buffer.from('here') }])
    expect(tar(['-t', '-f', '-'], archive)).toBe(`${path}\n`)
  })

  it('refuses what does not fit instead of cutting it', () => {
    const path = 'x'.repeat(101)
    expect(() => createTar([{ type: 'file', path, content: new Uint8Array() }])).toThrow(RangeError)
  })
})

describe('createImageArchive', () => {
  const image: ImageSpec = {
    name: 'docker.io/podgate/test:7',
    files: { '/data/a/b.csv': { content: 'x,y\n' }, '/bin/tool': { content: 'tool', mode: 0o755 } },
    symlinks: { '/bin/sh': 'tool' },
    directories: { '/tmp': 0o1777 },
    command: ['/bin/sh'],
    env: { HOME: '/root' },
  }
  const archive = createImageArchive(image)
  const read = (path: string): string => tar(['-xO', '-f', '-', path], archive)
  const blob = (digest: string): string => read(`blobs/${digest.replace(':', '/')}`)

  it('names the image, and every digest and size is right', () => {
    const [manifest] = JSON.parse(read('index.json')).manifests
    expect(manifest.annotations['io.containerd.image.name']).toBe(image.name)
    const { config, layers } = JSON.parse(blob(manifest.digest))
    for (const { digest, size } of [manifest, config, ...layers]) {
      const content = Buffer.from(blob(digest))
      expect(content.length).toBe(size)
      expect(`sha256:${createHash('sha256').update(content).digest('hex')}`).toBe(digest)
    }
    expect(JSON.parse(blob(config.digest))).toMatchObject({
      os: 'linux',
      config: { Cmd: ['/bin/sh'], Env: ['HOME=/root'], WorkingDir: '/' },
      rootfs: { diff_ids: [layers[0].digest] },
    })
  })

  it('holds each folder before what is in it', () => {
    const [manifest] = JSON.parse(read('index.json')).manifests
    const { layers } = JSON.parse(blob(manifest.digest))
    expect(
      tar(['-t', '-f', '-'], Buffer.from(blob(layers[0].digest)))
        .trim()
        .split('\n'),
    ).toEqual(['bin/', 'data/', 'data/a/', 'tmp/', 'data/a/b.csv', 'bin/tool', 'bin/sh'])
  })

  it('is the same for the same content', () => {
    expect(createImageArchive(image).equals(archive)).toBe(true)
  })
})

/** A naive writer, so that the reader is held against a second opinion. */
function zip(files: Record<string, { content: string; method: 0 | 8 }>, comment = ''): Buffer {
  const locals: Buffer[] = []
  const centrals: Buffer[] = []
  let offset = 0
  for (const [name, { content, method }] of Object.entries(files)) {
    const raw = Buffer.from(content)
    const packed = method === 8 ? deflateRawSync(raw) : raw
    const sizes = Buffer.alloc(16)
    sizes.writeUInt32LE(crc32(raw), 0)
    sizes.writeUInt32LE(packed.length, 4)
    sizes.writeUInt32LE(raw.length, 8)
    sizes.writeUInt16LE(name.length, 12)
    const local = Buffer.concat([
      Buffer.from([0x50, 0x4b, 3, 4, 20, 0, 0, 0, method, 0, 0, 0, 0, 0]),
      sizes.subarray(0, 14),
      Buffer.from([4, 0]),
      Buffer.from(name),
      Buffer.from([1, 2, 3, 4]),
      packed,
    ])
    const place = Buffer.alloc(16)
    place.writeUInt32LE(offset, 12)
    centrals.push(
      Buffer.concat([
        Buffer.from([0x50, 0x4b, 1, 2, 20, 0, 20, 0, 0, 0, method, 0, 0, 0, 0, 0]),
        sizes.subarray(0, 14),
        place,
        Buffer.from(name),
      ]),
    )
    locals.push(local)
    offset += local.length
  }
  const directory = Buffer.concat(centrals)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x0605_4b50, 0)
  end.writeUInt16LE(centrals.length, 8)
  end.writeUInt16LE(centrals.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  end.writeUInt16LE(comment.length, 20)
  return Buffer.concat([...locals, directory, end, Buffer.from(comment)])
}

describe('readZipFile', () => {
  const content = 'kubectl '.repeat(500)
  const files = {
    'kubectl/kubectl': { content, method: 8 },
    NOTICE: { content: 'stored', method: 0 },
  } as const

  it.each(['', 'a comment after the end record'])(
    'reads packed and stored files, comment %j',
    (comment) => {
      const archive = zip(files, comment)
      expect(listZip(archive)).toEqual(['kubectl/kubectl', 'NOTICE'])
      expect(readZipFile(archive, 'kubectl/kubectl')?.toString()).toBe(content)
      expect(readZipFile(archive, 'NOTICE')?.toString()).toBe('stored')
      expect(readZipFile(archive, 'helm/helm')).toBeUndefined()
    },
  )

  it('says when a file is damaged', () => {
    const archive = zip({ NOTICE: { content: 'stored', method: 0 } })
    archive[archive.indexOf('stored')] = 0x58
    expect(() => readZipFile(archive, 'NOTICE')).toThrow('damaged')
  })

  it.each([
    { name: 'nothing', archive: Buffer.alloc(0) },
    { name: 'something else', archive: Buffer.from('not a zip at all, but long enough to be one') },
    { name: 'only the end of one', archive: zip(files).subarray(-60) },
  ])('refuses $name', ({ archive }) => {
    expect(() => readZipFile(archive, 'NOTICE')).toThrow(RangeError)
  })

  it('does not unpack more than the archive says', () => {
    const archive = zip({ bomb: { content: 'x'.repeat(1_000_000), method: 8 } })
    const size = archive.lastIndexOf('bomb') - 22
    archive.writeUInt32LE(10, size)
    expect(() => readZipFile(archive, 'bomb')).toThrow()
  })
})
