"""What people look at: Steps, progress, story, graph and timeline of a Run.

Pure folds from the rows of a Journal and the rows of its trace to frozen values and text. Nothing here opens, waits,
decides or decodes a value; what values look like comes from the previews that guests wrote.
"""
