//! The goals of the issue, each with what was measured beside it.

use crate::table;

#[derive(Default)]
pub struct Goals(Vec<Vec<String>>);

impl Goals {
    /// `measured` and `goal` as text, and whether it was reached.
    pub fn add(&mut self, what: &str, measured: String, goal: &str, reached: bool) {
        let verdict = if reached { "pass" } else { "**miss**" };
        self.0.push(vec![what.into(), measured, goal.into(), verdict.into()]);
    }

    pub fn print(&self, title: &str) {
        if !self.0.is_empty() {
            table::print(title, &["what", "measured", "goal", ""], &self.0);
        }
    }
}
