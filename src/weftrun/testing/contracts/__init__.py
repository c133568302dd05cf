"""Contract suites: what every adapter of a port must do, as abstract pytest classes.

A suite is the definition of its port. To prove an adapter, subclass the suite in a test module and give the fixture
that makes it:

    class TestMyJournal(JournalContract):
        @pytest.fixture
        def place(self, tmp_path):
            return MyPlace(tmp_path)
"""
