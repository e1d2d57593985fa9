//! Whatever is written as LDIF: what is taken reads the same after it was written, folded or not.

use ctsd::ldif::{LdifReader, LdifRecord, LdifWriter};

fn without_lines(text: &[u8]) -> Vec<LdifRecord> {
    LdifReader::new(text).flatten().map(|record| LdifRecord { line: 0, ..record }).collect()
}

#[test]
fn ldif() {
    bolero::check!().with_iterations(crate::ITERATIONS).for_each(|input: &[u8]| {
        const PARTS: [&str; 22] = [
            "dn: cn=a\n",
            "dn:: Y249YQ==\n",
            "changetype: add\n",
            "changetype: modify\n",
            "changetype: modrdn\n",
            "changetype: delete\n",
            "newrdn: cn=b\n",
            "deleteoldrdn: 1\n",
            "newsuperior: dc=x\n",
            "add: cn\n",
            "replace: CN\n",
            "delete: cn\n",
            "cn: a\n",
            "cn:: AAE=\n",
            "cn;lang-de: b\n",
            "-\n",
            "\n",
            " fold\n",
            "# comment\n",
            "control: 1.2.3 true: x\n",
            "version: 1\n",
            "cn:< file:///x\n",
        ];
        let pieces: String = input.iter().map(|octet| PARTS[usize::from(*octet) % PARTS.len()]).collect();
        for text in [input, pieces.as_bytes()] {
            let records = without_lines(text);
            for width in [None, Some(2), Some(76)] {
                let mut writer = LdifWriter::new(Vec::new());
                if let Some(width) = width {
                    writer = writer.with_fold(width);
                }
                for record in &records {
                    writer.record(record).unwrap();
                }
                assert_eq!(without_lines(&writer.into_inner()), records);
            }
        }
    });
}
