//! Tables in Markdown.

/// A table: its head, and rows of as many cells.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut lines = vec![line(head), line(["---"; N])];
    lines.extend(rows.iter().map(|cells| line(cells.each_ref())));
    lines.join("\n") + "\n"
}

fn line<const N: usize>(cells: [impl AsRef<str>; N]) -> String {
    let cells = cells.map(|cell| cell.as_ref().replace('|', "\\|").replace('\n', " "));
    format!("| {} |", cells.join(" | "))
}

/// What is written as it stands, unless there is nothing.
pub(crate) fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

/// Some words, each as it stands.
pub(crate) fn codes<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(code).collect();
    words.join(", ")
}
