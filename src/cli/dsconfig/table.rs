//! Tables in the shape of OpenDJ's.

/// The longest rule below a title: an access control instruction is no measure.
const MOST_DASHES: usize = 60;

/// Rows of cells under titles; a cell may have several lines.
pub(super) fn table(titles: &[String], rows: &[Vec<Vec<String>>]) -> String {
    let count = |text: &str| text.chars().count();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).flatten();
        cells.map(|line| count(line)).chain(titles.get(column).map(|title| count(title))).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let line = |cells: Vec<&str>, between: &str| {
        let padded = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width.saturating_sub(count(cell)))));
        let mut line = padded.collect::<Vec<_>>().join(between).trim_end().to_owned();
        line.push('\n');
        line
    };
    let mut text = line(titles.iter().map(String::as_str).collect(), " : ");
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat((*width).min(MOST_DASHES))).collect();
    text.push_str(&rule.join("-:-"));
    text.push('\n');
    for row in rows {
        let height = row.iter().map(Vec::len).max().unwrap_or(0).max(1);
        for place in 0..height {
            let cells = row.iter().map(|cell| cell.get(place).map_or("", String::as_str)).collect();
            text.push_str(&line(cells, if place == 0 { " : " } else { "   " }));
        }
    }
    text
}

/// Rows as scripts want them: cells parted by tabs, values within a cell too.
pub(super) fn lines(rows: &[Vec<Vec<String>>]) -> String {
    let mut text = String::new();
    for row in rows {
        let cells: Vec<&str> = row.iter().flatten().map(String::as_str).collect();
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_below_each_other() {
        let cell = |text: &str| vec![text.to_owned()];
        let titles = ["Property".to_owned(), "Value(s)".to_owned()];
        let rows = [
            vec![cell("enabled"), cell("true")],
            vec![cell("base-dn"), vec!["\"dc=a\",".into(), "\"dc=b\"".into()]],
        ];
        let wanted = "Property : Value(s)\n---------:---------\nenabled  : true\nbase-dn  : \"dc=a\",\n           \"dc=b\"\n";
        assert_eq!(table(&titles, &rows), wanted);
        assert_eq!(lines(&rows), "enabled\ttrue\nbase-dn\t\"dc=a\",\t\"dc=b\"\n");
    }
}
