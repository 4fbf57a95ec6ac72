/**
 * Container images made on the spot, without a registry: one layer, as an OCI
 * image layout in a tar archive (OCI image-spec 1.1, image-layout.md), which
 * containerd and kind import.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'

import { createTar, type TarEntry } from './tar.ts'

export const PAUSE_IMAGE = 'docker.io/podgate/pause:1'
export const DEMO_IMAGE = 'docker.io/podgate/demo:1'

/** Ends at once on SIGTERM, which a plain `sleep` as process 1 would ignore. */
const IDLE = 'trap "exit 0" TERM INT; while :; do sleep 3600 & wait $!; done'

export interface ImageFile {
  content: string | Uint8Array
  mode?: number
}

export interface ImageSpec {
  /** Fully qualified, as docker.io/podgate/demo:1; pods use it with imagePullPolicy Never. */
  name: string
  /** Absolute paths in the image. */
  files: Readonly<Record<string, ImageFile>>
  symlinks?: Readonly<Record<string, string>>
  directories?: Readonly<Record<string, number>>
  command: readonly string[]
  env?: Readonly<Record<string, string>>
  workingDir?: string
}

/** All applets of busybox, plus the caller's files (fake customers, logs, scripts). */
export function demoImage(
  files: ImageSpec['files'],
  options: { name?: string; busybox?: string } = {},
): ImageSpec {
  const busybox = options.busybox ?? '/bin/busybox'
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n')
  return {
    name: options.name ?? DEMO_IMAGE,
    files: {
      '/bin/busybox': { content: readFileSync(busybox), mode: 0o755 },
      '/etc/passwd': {
        content: 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/data:/bin/sh\n',
      },
      '/etc/group': { content: 'root:x:0:\napp:x:1000:\n' },
      ...files,
    },
    symlinks: Object.fromEntries(
      applets
        .filter((applet) => applet !== 'busybox')
        .map((applet) => [`/bin/${applet}`, 'busybox']),
    ),
    directories: { '/tmp': 0o1777, '/root': 0o700, '/data': 0o755, '/var/log': 0o755 },
    command: ['/bin/sh', '-c', IDLE],
    env: { PATH: '/bin:/usr/bin:/sbin:/usr/sbin', HOME: '/root' },
    workingDir: '/',
  }
}

export function pauseImage(pauseBinary: string): ImageSpec {
  return {
    name: PAUSE_IMAGE,
    files: { '/pause': { content: readFileSync(pauseBinary), mode: 0o755 } },
    command: ['/pause'],
  }
}

export function createImageArchive(image: ImageSpec): Buffer {
  const layer = createTar(layerEntries(image))
  const config = jsonBlob({
    created: '1970-01-01T00:00:00Z',
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: {
      Env: Object.entries(image.env ?? {}).map(([name, value]) => `${name}=${value}`),
      Cmd: image.command,
      WorkingDir: image.workingDir ?? '/',
    },
    rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
    history: [{ created: '1970-01-01T00:00:00Z', created_by: 'podgate' }],
  })
  const manifest = jsonBlob({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: describe('application/vnd.oci.image.config.v1+json', config),
    layers: [describe('application/vnd.oci.image.layer.v1.tar', layer)],
  })
  const index = jsonBlob({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        ...describe('application/vnd.oci.image.manifest.v1+json', manifest),
        // The second is the specification's, the first is what containerd names the image by.
        annotations: {
          'io.containerd.image.name': image.name,
          'org.opencontainers.image.ref.name': image.name.slice(image.name.lastIndexOf(':') + 1),
        },
      },
    ],
  })
  const blobs = [layer, config, manifest]
  return createTar([
    { type: 'file', path: 'oci-layout', content: jsonBlob({ imageLayoutVersion: '1.0.0' }) },
    { type: 'file', path: 'index.json', content: index },
    { type: 'directory', path: 'blobs' },
    { type: 'directory', path: 'blobs/sha256' },
    ...blobs.map((content): TarEntry => ({ type: 'file', path: blobPath(content), content })),
  ])
}

function layerEntries(image: ImageSpec): TarEntry[] {
  const modes = new Map(Object.entries(image.directories ?? {}))
  const paths = [...Object.keys(image.files), ...Object.keys(image.symlinks ?? {})]
  for (const path of [...paths, ...modes.keys()]) {
    for (let folder = dirname(path); folder !== '/'; folder = dirname(folder)) {
      if (!modes.has(folder)) modes.set(folder, 0o755)
    }
  }
  // Sorted, a folder comes before what is in it.
  const folders = [...modes].sort(([a], [b]) => (a < b ? -1 : 1))
  return [
    ...folders.map(([path, mode]): TarEntry => ({ type: 'directory', path: path.slice(1), mode })),
    ...Object.entries(image.files).map(([path, { content, mode }]): TarEntry => ({
      type: 'file',
      path: path.slice(1),
      content: typeof content === 'string' ? Buffer.from(content) : content,
      ...(mode === undefined ? {} : { mode }),
    })),
    ...Object.entries(image.symlinks ?? {}).map(([path, target]): TarEntry => ({
      type: 'symlink',
      path: path.slice(1),
      target,
    })),
  ]
}

function jsonBlob(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function digestOf(blob: Uint8Array): string {
  return `sha256:${createHash('sha256').update(blob).digest('hex')}`
}

function blobPath(blob: Uint8Array): string {
  return `blobs/${digestOf(blob).replace(':', '/')}`
}

function describe(mediaType: string, blob: Uint8Array): Record<string, string | number> {
  return { mediaType, digest: digestOf(blob), size: blob.length }
}
