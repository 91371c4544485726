//! Reads the characters of a filter: white space, names, operators, values. Knows columns, not grammar.

use super::{
    Operator,
    error::{FilterError, FilterFault},
};

/// A value as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    Quoted(String),
    Bare(String),
}

pub(super) struct Scanner {
    characters: Vec<char>,
    position: usize,
}

impl Scanner {
    pub(super) fn new(text: &str) -> Self {
        Self { characters: text.chars().collect(), position: 0 }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.characters.get(self.position).copied()
    }

    pub(super) fn column(&self) -> usize {
        self.position + 1
    }

    pub(super) fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.position += 1;
        }
    }

    pub(super) fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.position += usize::from(found);
        found
    }

    /// Takes a word such as `AND`, when it stands alone.
    pub(super) fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.word_here() == keyword;
        if found {
            self.position += keyword.len();
        }
        found
    }

    /// A name that needs no quotes; empty when none starts here.
    pub(super) fn take_name(&mut self) -> String {
        let name = self.word_here();
        self.position += name.chars().count();
        name
    }

    pub(super) fn take_operator(&mut self) -> Option<Operator> {
        let (operator, length) = match (self.peek()?, self.characters.get(self.position + 1)) {
            ('!', Some('=')) => (Operator::NotEqual, 2),
            ('<', Some('=')) => (Operator::LessOrEqual, 2),
            ('>', Some('=')) => (Operator::GreaterOrEqual, 2),
            ('=', _) => (Operator::Equal, 1),
            ('<', _) => (Operator::Less, 1),
            ('>', _) => (Operator::Greater, 1),
            (':', _) => (Operator::Has, 1),
            _ => return None,
        };
        self.position += length;
        Some(operator)
    }

    /// A quoted text, or everything up to white space, a parenthesis, a quote or a comparator other than `:`,
    /// which times contain.
    pub(super) fn take_literal(&mut self) -> Result<Option<Literal>, FilterError> {
        if let Some(text) = self.take_quoted()? {
            return Ok(Some(Literal::Quoted(text)));
        }
        let text = self.run_here(|character| !character.is_whitespace() && !"()\"'=<>!,".contains(character));
        self.position += text.chars().count();
        Ok((!text.is_empty()).then_some(Literal::Bare(text)))
    }

    /// A text in double or single quotes; none when no quote is here.
    pub(super) fn take_quoted(&mut self) -> Result<Option<String>, FilterError> {
        let Some(quote @ ('"' | '\'')) = self.peek() else { return Ok(None) };
        let start = self.column();
        self.position += 1;
        let mut text = String::new();
        while let Some(character) = self.peek() {
            self.position += 1;
            match character {
                '\\' => text.push(self.take_escaped()?),
                _ if character == quote => return Ok(Some(text)),
                _ => text.push(character),
            }
        }
        Err(FilterError { column: start, fault: FilterFault::OpenText { quote } })
    }

    /// What follows a backslash.
    fn take_escaped(&mut self) -> Result<char, FilterError> {
        let column = self.position;
        let Some(escaped) = self.peek() else {
            return Err(self.unexpected("a character after the backslash"));
        };
        self.position += 1;
        match escaped {
            '\\' | '"' | '\'' => Ok(escaped),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            _ => Err(FilterError { column, fault: FilterFault::Escape { escaped } }),
        }
    }

    /// The fault of finding here something else than what was expected.
    pub(super) fn unexpected(&self, expected: impl Into<String>) -> FilterError {
        let word = self.run_here(|character| !character.is_whitespace() && !"()".contains(character));
        let found = match (self.peek(), word.as_str()) {
            (None, _) => "the end".into(),
            (Some(space), "") if space.is_whitespace() => "a space".into(),
            (Some(character), "") => format!("`{character}`"),
            (_, "and" | "or" | "not") => format!("`{word}` (write {} in capitals)", word.to_uppercase()),
            (_, word) => format!("`{}`", word.chars().take(40).collect::<String>()),
        };
        FilterError { column: self.column(), fault: FilterFault::Unexpected { expected: expected.into(), found } }
    }

    fn word_here(&self) -> String {
        self.run_here(is_name_character)
    }

    fn run_here(&self, belongs: impl Fn(char) -> bool) -> String {
        self.characters[self.position..].iter().copied().take_while(|character| belongs(*character)).collect()
    }
}

/// Whether a name made of such characters needs no quotes.
pub(super) fn is_name_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
