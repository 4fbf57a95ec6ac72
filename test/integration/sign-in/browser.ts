/** What a browser does between pages: cookies by origin, redirects, forms. No scripts are needed. */
import { createHttpsFetch, type HttpsFetch } from '../../../lib/https/https-fetch.ts'

export interface Page {
  url: URL
  code: number
  text: string
  headers: Headers
}

const MAX_STEPS = 15

export class Browser {
  readonly #fetch: HttpsFetch
  /** Does not go to an address like this, and stays before it. */
  stopAt: RegExp | undefined
  /** Every address it was sent to. */
  readonly trail: URL[] = []
  /** Every cookie it was given, also those that are gone. */
  readonly given: string[] = []
  readonly #cookies = new Map<string, Map<string, string>>()

  constructor(ca: string) {
    this.#fetch = createHttpsFetch({ ca })
  }

  #jar({ origin }: URL): Map<string, string> {
    const jar = this.#cookies.get(origin) ?? new Map<string, string>()
    this.#cookies.set(origin, jar)
    return jar
  }

  cookies(url: string): string[] {
    return [...this.#jar(new URL(url)).values()]
  }

  async #step(url: URL, form: URLSearchParams | undefined): Promise<Response> {
    const jar = this.#jar(url)
    const response = await this.#fetch(url.href, {
      method: form === undefined ? 'GET' : 'POST',
      headers: {
        cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '),
        'user-agent': 'test browser',
        ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      ...(form === undefined ? {} : { body: form }),
    })
    for (const cookie of response.headers.getSetCookie()) {
      const [pair = ''] = cookie.split(';')
      const [name = '', ...value] = pair.split('=')
      this.given.push(value.join('='))
      if (/Expires=Thu, 01 Jan 1970/i.test(cookie)) jar.delete(name)
      else jar.set(name, value.join('='))
    }
    return response
  }

  /** Follows redirects over https; one that leaves for http (the loopback) is the end. */
  async go(start: string | URL, form?: Record<string, string>): Promise<Page> {
    let url = new URL(start)
    let body = form === undefined ? undefined : new URLSearchParams(form)
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const response = await this.#step(url, body)
      const location = response.headers.get('location')
      const text = await response.text()
      if (location === null) return { url, code: response.status, text, headers: response.headers }
      url = new URL(location, url)
      this.trail.push(url)
      body = undefined
      const isEnd = url.protocol === 'http:' || this.stopAt?.test(url.href) === true
      if (isEnd) return { url, code: 0, text: '', headers: response.headers }
    }
    throw new Error(`no end of redirects at ${url.href}`)
  }

  /** Answers the pages of the sandbox's provider until the browser is somewhere else. */
  async signIn(page: Page, name: string, password: string, consent = 'yes'): Promise<Page> {
    let at = page
    for (let step = 0; step < MAX_STEPS; step += 1) {
      if (at.text.includes('name="password"')) at = await this.go(at.url, { name, password })
      else if (at.text.includes('name="consent"')) at = await this.go(at.url, { consent })
      else return at
    }
    throw new Error('the provider asks without end')
  }
}

/** The value of a hidden field. */
export function fieldOf(page: Page, name: string): string {
  return new RegExp(`name="${name}" value="([^"]*)"`).exec(page.text)?.[1] ?? ''
}
