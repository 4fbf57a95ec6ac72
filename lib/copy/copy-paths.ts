/** Paths inside a container, as text: no file system is asked, so a link on it is not followed. */

/** Without empty and `.` segments; `..` takes one away and stops at the root. `/` for nothing. */
export function normalPath(path: string): string {
  const segments: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop()
    else if (segment !== '' && segment !== '.') segments.push(segment)
  }
  return `/${segments.join('/')}`
}

export function isAbsolutePath(path: string): boolean {
  return path.startsWith('/')
}

export function hasParentSegment(path: string): boolean {
  return path.split('/').includes('..')
}

/** `name` inside `folder`; an absolute name stays where it is. */
export function pathWithin(folder: string, name: string): string {
  return normalPath(isAbsolutePath(name) ? name : `${folder}/${name}`)
}

export function folderOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')))
}

/** Itself, or anything below it. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || folder === '/' || path.startsWith(`${folder}/`)
}

/** The path and the folders it is in, without the root: `/a/b` → `/a/b`, `/a`. */
export function withFolders(path: string): string[] {
  const all: string[] = []
  for (let at = path; at !== '/'; at = folderOf(at)) all.push(at)
  return all
}
