"""How a squashed migration makes a new database: every table known first, then each made."""

from __future__ import annotations

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import Migration
from django.db.migrations.state import ProjectState

__all__ = ["FoundingMigration"]


class FoundingMigration(Migration):
    """A migration of an empty database, whose operations are all given the state in which it leaves it.

    Django renders anew, for each operation, every model related to the one it touches: with 220 tables that is 40,000
    models and two and a half minutes of a processor, where rendering them once takes seconds. Each table is therefore
    made whole, by one `CreateModel` with its fields, indexes and constraints; foreign keys follow at the end, so their
    order is of no account. Only for operations that look at the state they lead to.
    """

    def apply(
        self,
        project_state: ProjectState,
        schema_editor: BaseDatabaseSchemaEditor,
        collect_sql: bool = False,  # noqa: FBT001, FBT002 - Django's signature
    ) -> ProjectState:
        """Run the operations, in the transaction of `schema_editor`; return the state they lead to.

        With `collect_sql` (`sqlmigrate`) they run one after the other as in any migration.
        """
        if collect_sql:
            return super().apply(project_state, schema_editor, collect_sql)
        project_state.__dict__.pop("apps", None)  # unrendered, a state takes a model at no cost
        for operation in self.operations:
            operation.state_forwards(self.app_label, project_state)
        for operation in self.operations:
            operation.database_forwards(self.app_label, schema_editor, project_state, project_state)
        return project_state
