"""Calendar mails (iMIP, RFC 6047): what a booking means for its booker's calendar, sent once, in the booker's language."""
