"""The classes and documents of MongoEngine: what they ask for, and what they hold."""
