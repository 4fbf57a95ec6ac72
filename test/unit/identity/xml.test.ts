import { createRequire } from 'node:module'

import { describe, expect, it } from '@jest/globals'

import {
  attributeOf,
  childrenOf,
  descendantsOf,
  parseXml,
  textOf,
  type XmlElement,
} from '../../../lib/identity/xml.ts'

function element(localName: string, changes: Partial<XmlElement> = {}): XmlElement {
  return { localName, namespace: '', attributes: [], children: [], text: '', ...changes }
}

describe('XML', () => {
  it.each<[string, string, XmlElement]>([
    ['an element', '<a/>', element('a')],
    [
      'text, with what is escaped in it',
      '<a>x &lt;&#38;&quot; y</a>',
      element('a', { text: 'x <&" y' }),
    ],
    [
      'attributes, with and without a prefix',
      '<a b="1" p:b="2" xmlns:p="urn:p"/>',
      element('a', {
        attributes: [
          { localName: 'b', namespace: '', value: '1' },
          { localName: 'b', namespace: 'urn:p', value: '2' },
          { localName: 'p', namespace: 'http://www.w3.org/2000/xmlns/', value: 'urn:p' },
        ],
      }),
    ],
    [
      'text around elements, put together',
      '<a xmlns="urn:a">x<b/>y</a>',
      {
        ...element('a', { namespace: 'urn:a', text: 'xy' }),
        attributes: [
          { localName: 'xmlns', namespace: 'http://www.w3.org/2000/xmlns/', value: 'urn:a' },
        ],
        children: [element('b', { namespace: 'urn:a' })],
      },
    ],
  ])('is read: %s', (_name, text, expected) => {
    expect(parseXml(text)).toEqual(expected)
  })

  it('is read with comments where they may be, without them', () => {
    expect(parseXml('<!-- x --><a>x<!-- y -->z</a>', { comments: true }).text).toBe('xz')
  })

  it('is looked through by name and namespace', () => {
    const tree = parseXml('<a><b c="1">x</b><p:b xmlns:p="urn:p" p:c="2"><d/></p:b></a>')
    expect(childrenOf(tree, '', 'b').map(textOf)).toEqual(['x'])
    const [other] = childrenOf(tree, 'urn:p', 'b')
    expect(textOf(other)).toBeUndefined()
    expect(other === undefined ? '' : attributeOf(other, 'c')).toBeUndefined()
    expect(descendantsOf(tree).map((found) => found.parent?.localName)).toEqual([
      undefined,
      'a',
      'a',
      'b',
    ])
  })

  it('is read by the parser that the signature is verified with', () => {
    const here = createRequire(import.meta.url)
    const own = here.resolve('@xmldom/xmldom')
    const nodeSaml = createRequire(here.resolve('@node-saml/node-saml'))
    expect(nodeSaml.resolve('@xmldom/xmldom')).toBe(own)
    expect(createRequire(nodeSaml.resolve('xml-crypto')).resolve('@xmldom/xmldom')).toBe(own)
  })
})
