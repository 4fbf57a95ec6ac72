/**
 * Reads XML that comes from outside into a plain tree: strictly, and within limits. PURE.
 *
 * The parser is the one node-saml and xml-crypto verify signatures with, so that nothing can be
 * read in one way and verified in another. It is lenient by nature (it mends what is not
 * well-formed, and only warns), hence every warning of it is a refusal here, and what a signed
 * message has no need of is refused before it sees the text: document types, and with them
 * entities; comments, CDATA sections and processing instructions.
 */
import { createRequire } from 'node:module'

export interface XmlAttribute {
  localName: string
  /** '' for a name without a prefix. */
  namespace: string
  value: string
}

export interface XmlElement {
  localName: string
  namespace: string
  attributes: XmlAttribute[]
  children: XmlElement[]
  /** All text directly inside, put together. */
  text: string
}

/** The part of a DOM that is used. The parser's own types would make all of `lib.dom` global. */
interface DomNode {
  nodeType: number
  nodeValue: string | null
  localName?: string | null
  prefix?: string | null
  namespaceURI?: string | null
  attributes?: ArrayLike<DomNode>
  firstChild: DomNode | null
  nextSibling: DomNode | null
}

interface DomModule {
  DOMParser: new (options: object) => {
    parseFromString(text: string, type: string): { documentElement: DomNode | null }
  }
}

const { DOMParser } = createRequire(import.meta.url)('@xmldom/xmldom') as DomModule

export const MAX_XML_BYTES: number = 256 * 1024
/**
 * The parser and the signature check take time by the square of these, and all that while nobody
 * else is served. With them, the worst message takes a fifth of a second; a person may be in a
 * thousand groups.
 */
const MAX_TAGS = 2_500
const MAX_SIBLINGS = 1_024
const MAX_ATTRIBUTES = 2_500
const MAX_TAG_NAMES = 200
const MAX_DEPTH = 64

/** https://www.w3.org/TR/xml/#charsets */
const NOT_A_CHARACTER = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u
const DECLARATION =
  /^<\?xml\s+version\s*=\s*(?:"1\.0"|'1\.0')(?:\s+encoding\s*=\s*(?:"utf-8"|'utf-8'))?(?:\s+standalone\s*=\s*(?:"(?:yes|no)"|'(?:yes|no)'))?\s*\?>/i
const ELEMENT = 1
const TEXT = 3
const CDATA = 4
const COMMENT = 8

export interface XmlOptions {
  /** A file that an operator has saved may have them; a signed message may not. */
  comments?: boolean
}

/** @throws SyntaxError in words that do not repeat the text */
export function parseXml(text: string, options: XmlOptions = {}): XmlElement {
  const body = text.replace(DECLARATION, '')
  checkText(body, options.comments ?? false)
  return treeOf(parse(body))
}

function checkText(text: string, comments: boolean): void {
  if (Buffer.byteLength(text) > MAX_XML_BYTES) {
    throw new SyntaxError(`it is larger than ${MAX_XML_BYTES} bytes`)
  }
  if (NOT_A_CHARACTER.test(text)) throw new SyntaxError('it has characters that XML does not allow')
  if ((comments ? /<!(?!--|\[CDATA\[)/ : /<!/).test(text)) {
    throw new SyntaxError(
      comments
        ? 'it has a document type (DOCTYPE)'
        : 'it has a document type, a comment or a CDATA section',
    )
  }
  if (text.includes('<?')) throw new SyntaxError('it has an encoding or instructions of its own')
  const names = new Set(Array.from(text.matchAll(/<([^\s/>]+)/g), ([, name]) => name))
  const tags = text.split('<').length - 1
  const attributes = Array.from(text.matchAll(/=\s*["']/g)).length
  if (tags > MAX_TAGS || attributes > MAX_ATTRIBUTES || names.size > MAX_TAG_NAMES) {
    throw tooMany()
  }
  const trimmed = text.trim()
  if (!trimmed.startsWith('<') || !trimmed.endsWith('>')) {
    throw new SyntaxError('it has text around its one element')
  }
}

function tooMany(): SyntaxError {
  return new SyntaxError('it has too many elements or attributes')
}

function parse(text: string): DomNode {
  const refuse = (message: string): never => {
    throw new SyntaxError(message)
  }
  const errorHandler = { warning: refuse, error: refuse, fatalError: refuse }
  let root: DomNode | null
  try {
    root = new DOMParser({ errorHandler }).parseFromString(text, 'text/xml').documentElement
  } catch (error) {
    throw new SyntaxError('it is not well-formed XML', { cause: error })
  }
  if (root === null || root === undefined) throw new SyntaxError('it is not well-formed XML')
  return root
}

/** Without recursion: the depth is the sender's choice. */
function treeOf(root: DomNode): XmlElement {
  const tree = elementOf(root)
  const open = [{ node: root, element: tree, depth: 1 }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next.depth > MAX_DEPTH) throw new SyntaxError('its elements are nested too deeply')
    let siblings = 0
    for (let node = next.node.firstChild; node !== null; node = node.nextSibling) {
      siblings += 1
      if (siblings > MAX_SIBLINGS) throw tooMany()
      if (node.nodeType === ELEMENT) {
        const element = elementOf(node)
        next.element.children.push(element)
        open.push({ node, element, depth: next.depth + 1 })
      } else if (node.nodeType === TEXT || node.nodeType === CDATA) {
        next.element.text += node.nodeValue ?? ''
      } else if (node.nodeType !== COMMENT) {
        throw new SyntaxError('it has something that is neither an element nor text')
      }
    }
  }
  return tree
}

function elementOf(node: DomNode): XmlElement {
  return {
    ...nameOf(node),
    attributes: Array.from(node.attributes ?? [], (attribute) => ({
      ...nameOf(attribute),
      value: attribute.nodeValue ?? '',
    })),
    children: [],
    text: '',
  }
}

function nameOf(node: DomNode): { localName: string; namespace: string } {
  const namespace = node.namespaceURI ?? ''
  if (namespace === '' && (node.prefix ?? '') !== '') {
    throw new SyntaxError('it uses a namespace prefix that it does not declare')
  }
  return { localName: node.localName ?? '', namespace }
}

/** The value of an attribute without a prefix. */
export function attributeOf(element: XmlElement, name: string): string | undefined {
  return element.attributes.find((item) => item.localName === name && item.namespace === '')?.value
}

export function childrenOf(element: XmlElement, namespace: string, name: string): XmlElement[] {
  return element.children.filter((child) => isNamed(child, namespace, name))
}

export function isNamed(element: XmlElement, namespace: string, name: string): boolean {
  return element.localName === name && element.namespace === namespace
}

/** The text of an element that has nothing else inside. */
export function textOf(element: XmlElement | undefined): string | undefined {
  return element === undefined || element.children.length > 0 ? undefined : element.text
}

/** The element and everything below it, with the parent of each. */
export function descendantsOf(root: XmlElement): { element: XmlElement; parent?: XmlElement }[] {
  const all: { element: XmlElement; parent?: XmlElement }[] = [{ element: root }]
  for (const { element } of all) {
    for (const child of element.children) all.push({ element: child, parent: element })
  }
  return all
}
