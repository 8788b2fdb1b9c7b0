#!/usr/bin/env perl
use strict; use warnings;
use FindBin; use lib "$FindBin::RealBin/lib";
use Words; use File::Find; use Cwd; use POSIX (); use Digest::MD5; use File::Basename;
my $top = shift;
print "module $INC{'Words.pm'}\n";
my @found;
find({wanted => sub { push @found, $File::Find::name }, no_chdir => 0}, $top);
for my $name (sort @found) {
  my @s = lstat $name;
  printf "%s %o %d %d %s %s\n", $name, $s[2], -d _ ? 0 : $s[7], $s[9], -l $name ? readlink $name : '-',
    join '', map { $_ ? 'y' : 'n' } (-r $name, -w $name, -x $name, -f $name, -d $name);
}
my @files = glob "$top/text/*/*.txt";
print scalar(@files), " files, ", Words::count(@files), "\n";
for (['<', "$top/missing"], ['>', "$top/new"], ['>>', $files[0]], ['<', "$files[0]/x"]) {
  my ($how, $name) = @$_;
  print "$how $name: ", (open(my $file, $how, $name) ? "opened" : "$!"), "\n";
}
print "mkdir: ", (mkdir("$top/new") ? "made" : "$!"), "; unlink: ", (unlink($files[0]) ? "gone" : "$!"), "\n";
print "child: ", `$top/say 'from perl'`, "status $?\n";
my @children;
for my $number (0 .. 3) {
  my $pid = open(my $pipe, '-|') // die;
  if (!$pid) { print Words::count($files[$number]), "\n"; exit 0 }
  push @children, $pipe;
}
print "in a child: ", scalar(readline $_) for @children;
chdir "$top/text/0" or die; print getcwd(), " ", Cwd::abs_path('../1/..'), "\n";
open(my $file, '<', '../0/' . basename($files[0])) or die "$!";
print Digest::MD5->new->addfile($file)->hexdigest, "\n";
