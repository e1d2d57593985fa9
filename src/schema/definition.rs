//! RFC 4512 §4.1 definition texts: parsed and printed.
