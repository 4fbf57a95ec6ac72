/** The release this command line belongs to; a test holds it equal to package.json. */
export const VERSION = '0.1.0'
