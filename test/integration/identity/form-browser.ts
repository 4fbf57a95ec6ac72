/**
 * A browser without a screen: keeps cookies, follows redirects, and fills in forms, until the
 * provider sends it elsewhere or a page has nothing to fill in.
 */
import { createHttpsFetch } from '../../../lib/https/https-fetch.ts'

const MAX_STEPS = 16

export interface Visit {
  url: URL
  status: number
  text: string
  /** The headings of the pages that came on the way, with this one. */
  headings: string[]
}

export interface FormBrowser {
  /** Fields are filled in by name; a button is pressed by its name and value. */
  visit(start: URL | string, fields?: Readonly<Record<string, string>>): Promise<Visit>
  cookies: Map<string, string>
}

export function createFormBrowser(ca: string): FormBrowser {
  const fetch = createHttpsFetch({ ca })
  const cookies = new Map<string, string>()

  const load = async (url: URL, form: URLSearchParams | undefined): Promise<Response> => {
    const answer = await fetch(url.href, {
      method: form === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'text/html',
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      ...(form === undefined ? {} : { body: form }),
    })
    for (const cookie of answer.headers.getSetCookie()) keepCookie(cookie, cookies)
    return answer
  }

  const visit: FormBrowser['visit'] = async (start, fields = {}) => {
    const { origin } = new URL(start)
    const headings: string[] = []
    let url = new URL(start)
    let form: URLSearchParams | undefined
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const answer = await load(url, form)
      const location = answer.headers.get('location')
      if (location !== null) {
        url = new URL(location, url)
        form = undefined
        if (url.origin !== origin) return { url, status: answer.status, text: '', headings }
        continue
      }
      const text = await answer.text()
      const heading = /<h1[^>]*>([^]*?)<\/h1>/u.exec(text)?.[1]
      if (heading !== undefined) headings.push(unescapeHtml(heading))
      const isStuck = answer.status >= 400 || text.includes('role="alert"')
      const next = isStuck ? undefined : filledForm(text, fields)
      if (next === undefined) return { url, status: answer.status, text, headings }
      url = new URL(next.action, url)
      form = next.values
    }
    throw new Error(`no end after ${MAX_STEPS} steps: ${headings.join(', ')}`)
  }
  return { visit, cookies }
}

function keepCookie(cookie: string, cookies: Map<string, string>): void {
  const [pair = ''] = cookie.split(';')
  const [name = '', ...rest] = pair.split('=')
  const value = rest.join('=')
  if (value === '') cookies.delete(name.trim())
  else cookies.set(name.trim(), value)
}

function filledForm(
  page: string,
  fields: Readonly<Record<string, string>>,
): { action: string; values: URLSearchParams } | undefined {
  const form = /<form([^>]*)>([^]*?)<\/form>/u.exec(page)
  if (form === null) return undefined
  const [, head = '', body = ''] = form
  const values = new URLSearchParams()
  for (const [tag, kind] of body.matchAll(/<(input|button)\b[^>]*>/gu)) {
    const name = attribute(tag, 'name')
    if (name === undefined) continue
    const value = attribute(tag, 'value')
    if (kind === 'input') values.set(name, fields[name] ?? value ?? '')
    else if (fields[name] === value && value !== undefined) values.set(name, value)
  }
  return { action: attribute(head, 'action') ?? '', values }
}

function attribute(tag: string, name: string): string | undefined {
  const value = new RegExp(`\\s${name}="([^"]*)"`, 'u').exec(tag)?.[1]
  return value === undefined ? undefined : unescapeHtml(value)
}

function unescapeHtml(text: string): string {
  return text
    .replace(/&#(\d+);/gu, (_, code: string) => String.fromCodePoint(Number(code)))
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}
