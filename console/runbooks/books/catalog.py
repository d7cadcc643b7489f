"""Every runbook, by the name of its alarm."""

from console.runbooks.books import guarding, published, service
from console.runbooks.books.shapes import Runbook

BOOKS: tuple[Runbook, ...] = (*published.BOOKS, *guarding.BOOKS, *service.BOOKS)
BY_SLUG = {book.slug: book for book in BOOKS}
