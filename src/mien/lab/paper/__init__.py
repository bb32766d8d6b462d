"""The paper rebuilt (DESIGN section 9): its figures, its tables, and what they come to here."""

from mien.lab.paper.book import Book, write_book
from mien.lab.paper.drawn import write_set

__all__ = ["Book", "write_book", "write_set"]
